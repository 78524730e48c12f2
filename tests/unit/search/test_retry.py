"""Which trials are tried again: the rule alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.records import Cause, TrialPolicy
from yolosweep.records.events import TrialResumed
from yolosweep.search.retry_policy import FRUITLESS, refusal


def resumed(cause: str, epoch: int) -> TrialResumed:
    return TrialResumed(trial="t0000", attempt=1, cause=cause, reason="r", from_epoch=epoch)


EVENTS = st.lists(
    st.builds(resumed, st.sampled_from([*(cause.value for cause in Cause), "resumed"]), st.integers(0, 5)), max_size=12
)


def log(*entries: tuple[str, int]) -> list[TrialResumed]:
    return [resumed(cause, epoch) for cause, epoch in entries]


@given(EVENTS, st.integers(0, 5))
def test_wrong_data_and_settings_are_never_tried_again(events: list[TrialResumed], epoch: int) -> None:
    for cause in (Cause.DATA, Cause.CONFIG, Cause.RESOURCE):
        assert refusal(cause, events, epoch, TrialPolicy()) is not None


@given(EVENTS, st.integers(6, 9))
def test_a_lost_machine_is_forgiven_where_the_trial_got_further(events: list[TrialResumed], epoch: int) -> None:
    assert refusal(Cause.INFRA, events, epoch, TrialPolicy()) is None


@given(st.integers(0, 5), st.integers(0, 5))
def test_unknown_errors_are_tried_again_as_often_as_the_policy_says(retries: int, earlier: int) -> None:
    refused = refusal(Cause.UNKNOWN, log(*[("unknown", 1)] * earlier, ("infra", 1)), 1, TrialPolicy(retries=retries))
    assert (refused is None) == (earlier < retries)


def test_the_same_epoch_ends_only_so_many_processes() -> None:
    assert refusal(Cause.INFRA, log(*[("infra", 2)] * (FRUITLESS - 2)), 2, TrialPolicy()) is None
    assert refusal(Cause.INFRA, log(*[("infra", 2)] * (FRUITLESS - 1)), 2, TrialPolicy()) is not None
    assert refusal(Cause.INFRA, log(("infra", 2), ("resumed", 2)), 2, TrialPolicy()) is None


@pytest.mark.parametrize(("earlier", "again"), [(0, True), (1, False)])
def test_a_stall_is_tried_again_once(earlier: int, again: bool) -> None:
    assert (refusal(Cause.STALLED, log(*[("stalled", 0)] * earlier), 0, TrialPolicy()) is None) == again
