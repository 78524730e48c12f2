"""Workers whose processes fall silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yolosweep.records import TrialPolicy
from yolosweep.search.stall_limits import SETUP_FACTOR, limit_s, silence_limit_s
from yolosweep.search.worker_table import WorkerTable

LIMIT_S = 30.0


def watched(table: WorkerTable, until: int, *, beating: set[str], busy: str = "ab", since: int = 0) -> list[str]:
    """Look every second, as the driver does, while some workers send heartbeats; return who was silent at the end."""
    silent: list[str] = []
    for now in range(since, until + 1):
        for worker in beating:
            table.heartbeat(worker, float(now))
        silent = table.silent(dict.fromkeys(busy, "t0000"), float(now), lambda trial: LIMIT_S)
    return silent


def test_a_process_that_falls_silent_is_found_after_the_limit_and_no_other() -> None:
    table = WorkerTable()
    watched(table, 10, beating={"a", "b"})
    assert watched(table, 40, beating={"b"}, since=11) == []
    assert watched(table, 41, beating={"b"}, since=41) == ["a"]
    assert watched(table, 99, beating={"b"}, busy="b", since=42) == []


def test_a_process_that_was_never_heard_of_is_silent_from_when_it_got_its_trial() -> None:
    table = WorkerTable()
    assert watched(table, 10, beating=set(), busy="") == []
    assert watched(table, 41, beating=set(), busy="a", since=11) == []
    assert watched(table, 42, beating=set(), busy="a", since=42) == ["a"]


def test_a_process_without_a_trial_may_be_silent_until_it_gets_the_next() -> None:
    table = WorkerTable()
    watched(table, 10, beating={"a"})
    assert watched(table, 99, beating=set(), busy="", since=11) == []
    assert watched(table, 129, beating=set(), busy="a", since=100) == []
    assert watched(table, 131, beating=set(), busy="a", since=130) == ["a"]


def test_nobody_is_silent_while_nobody_listened() -> None:
    """A controller or driver that was suspended itself finds the heartbeats of the meantime unread."""
    table = WorkerTable()
    watched(table, 10, beating={"a", "b"})
    assert table.silent({"a": "t0000", "b": "t0001"}, 5000.0, lambda trial: LIMIT_S) == []
    assert watched(table, 5031, beating={"a"}, since=5001) == ["b"]


@given(st.lists(st.floats(0.001, 1e4), max_size=9), st.floats(0.1, 1e4), st.booleans())
def test_the_process_s_own_watchdog_comes_first_unless_the_sweep_is_stopping(
    epochs: list[float], timeout: float, stopping: bool
) -> None:
    policy = TrialPolicy(stall_timeout=timeout)
    own, outside = limit_s(epochs, policy), silence_limit_s(epochs, policy, stopping=stopping)
    if stopping:
        assert outside <= LIMIT_S
    else:
        assert outside > (own if epochs else SETUP_FACTOR * own)
