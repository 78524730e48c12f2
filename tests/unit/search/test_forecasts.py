"""Forecasts follow the ledger: rows, cuts, endings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.records import Ending, EpochResult, TrialRecord
from yolosweep.records.events import EpochRecorded, TrialEnded, TrialResumed
from yolosweep.search.forecasts import Forecasts

EPOCHS = 20


def row(epoch: int, score: float | None) -> EpochResult:
    return EpochResult(
        epoch=epoch, metrics={}, score=score, best_score=score, best_epoch=epoch, epochs_without_gain=0, seconds=1,
        images_per_s=1,
    )  # fmt: skip


def train(forecasts: Forecasts, trial: str, scores: list[float | None], ending: Ending | None = None) -> None:
    for epoch, score in enumerate(scores, 1):
        forecasts.apply(EpochRecorded(trial=trial, row=row(epoch, score)))
    if ending is not None:
        record = TrialRecord(trial=trial, number=int(trial[1:]), ending=ending, reason="r", asked={}, used={})
        forecasts.apply(TrialEnded(record=record))


def test_a_complete_curve_is_its_own_forecast() -> None:
    forecasts = Forecasts(EPOCHS, "max")
    train(forecasts, "t0000", [0.4] * EPOCHS, Ending.FINISHED)
    train(forecasts, "t0001", [0.3] * 7, Ending.PATIENCE)
    found = [forecasts.of("t0000"), forecasts.of("t0001")]
    assert [one.final for one in found if one and not one.spread] == pytest.approx([0.4, 0.3])
    assert list(forecasts.complete) == ["t0000", "t0001"]


def test_a_running_trial_has_none_at_first_and_a_stopped_one_always_has_one() -> None:
    forecasts = Forecasts(EPOCHS, "max")
    train(forecasts, "t0000", [0.1])
    assert forecasts.of("t0000") is None
    train(forecasts, "t0001", [0.1], Ending.PRUNED)
    early = forecasts.of("t0001")
    train(forecasts, "t0002", [0.1] * 15, Ending.PRUNED)
    late = forecasts.of("t0002")
    assert early is not None
    assert late is not None
    assert early.spread > 3 * late.spread > 0
    assert forecasts.of("t9999") is None


def test_epochs_that_are_trained_again_count_once() -> None:
    cut, straight = Forecasts(EPOCHS, "max"), Forecasts(EPOCHS, "max")
    train(cut, "t0000", [0.1, 0.2, 0.9, 0.9])
    cut.apply(TrialResumed(trial="t0000", attempt=1, cause="infra", reason="r", from_epoch=2))
    for forecasts in (cut, straight):
        if forecasts is straight:
            train(straight, "t0000", [0.1, 0.2])
        for epoch in (3, 4, 5):
            forecasts.apply(EpochRecorded(trial="t0000", row=row(epoch, 0.3)))
    assert cut.of("t0000") == straight.of("t0000")


def test_a_complete_trial_that_goes_on_no_longer_teaches() -> None:
    forecasts = Forecasts(EPOCHS, "max")
    train(forecasts, "t0000", [0.4] * EPOCHS, Ending.FINISHED)
    forecasts.apply(TrialResumed(trial="t0000", attempt=1, cause="resumed", reason="r", from_epoch=0))
    assert not forecasts.complete
    assert forecasts.of("t0000") is None


def test_looking_ahead_changes_nothing() -> None:
    forecasts = Forecasts(EPOCHS, "max")
    train(forecasts, "t0000", [0.2] * 5)
    before, version = forecasts.of("t0000"), forecasts.version
    ahead = forecasts.after("t0000", 0.8)
    assert (forecasts.of("t0000"), forecasts.version) == (before, version)
    train(forecasts, "t0001", [*[0.2] * 5, 0.8])
    assert ahead == forecasts.of("t0001")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["row", "resumed", *Ending])), max_size=40))
def test_one_that_is_asked_all_the_time_says_the_same_as_one_that_is_asked_at_the_end(
    steps: list[tuple[int, str | Ending]],
) -> None:
    asked, silent = Forecasts(6, "max"), Forecasts(6, "max")
    epochs = [0] * 4
    for place, (number, what) in enumerate(steps):
        trial = f"t{number:04d}"
        for forecasts in (asked, silent):
            if what == "row":
                score = (place * 7 % 10) / 10
                forecasts.apply(EpochRecorded(trial=trial, row=row(epochs[number] + 1, score)))
            elif isinstance(what, Ending):
                train(forecasts, trial, [], what)
            else:
                forecasts.apply(
                    TrialResumed(trial=trial, attempt=1, cause="infra", reason="r", from_epoch=epochs[number] // 2)
                )
        epochs[number] = epochs[number] + 1 if what == "row" else epochs[number] // (2 if what == "resumed" else 1)
        told = [asked.of(f"t{one:04d}") for one in range(4)]
    if steps:
        assert told == [silent.of(f"t{one:04d}") for one in range(4)]
