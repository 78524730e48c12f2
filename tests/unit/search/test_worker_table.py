"""Workers whose processes fall silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yolosweep.records import TrialPolicy
from yolosweep.search.stall import SETUP_FACTOR, limit_s, silence_limit_s
from yolosweep.search.worker_table import WorkerTable

LIMIT_S = 30.0


def watched(table: WorkerTable, until: int, *, beating: set[int], since: int = 0) -> list[int]:
    """Look every second, as the driver does, while some workers send heartbeats; return who was silent at the end."""
    silent: list[int] = []
    for now in range(since, until + 1):
        for worker in beating:
            table.heartbeat(worker, float(now))
        silent = table.silent(float(now), lambda trial: LIMIT_S)
    return silent


def test_a_process_that_falls_silent_is_found_after_the_limit_and_no_other() -> None:
    table = WorkerTable()
    watched(table, 10, beating={0, 1})
    assert watched(table, 40, beating={1}, since=11) == []
    assert watched(table, 41, beating={1}, since=41) == [0]
    assert table.mark_lost(0, 41.0)[0] is None
    assert watched(table, 99, beating={1}, since=42) == []


def test_a_worker_without_a_process_is_not_silent() -> None:
    table = WorkerTable()
    table.assign(0, "t0000")  # its process has only been placed, maybe for a machine that is to come
    assert watched(table, 9999, beating=set()) == []


def test_a_worker_that_gets_no_more_trials_may_end_silently_until_it_asks_again() -> None:
    table = WorkerTable()
    watched(table, 10, beating={0})
    table.retire(0)
    watched(table, 12, beating={0}, since=11)  # its last heartbeats
    assert watched(table, 99, beating=set(), since=13) == []
    table.ask(0)
    watched(table, 110, beating={0}, since=100)
    assert watched(table, 150, beating=set(), since=111) == [0]


def test_nobody_is_silent_while_nobody_listened() -> None:
    """A controller or driver that was suspended itself finds the heartbeats of the meantime unread."""
    table = WorkerTable()
    watched(table, 10, beating={0, 1})
    assert table.silent(5000.0, lambda trial: LIMIT_S) == []
    assert watched(table, 5031, beating={0}, since=5001) == [1]


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
