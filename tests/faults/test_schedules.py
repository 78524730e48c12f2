"""Sweeps under schedules of faults of every kind: no acknowledged result is lost, and each sweep ends as it should.

The schedules and the judge are those of ``python -m tests.bench.faults``. ``YOLOSWEEP_CHAOS=N`` runs N of them with
fresh seeds; ``YOLOSWEEP_CHAOS_SEED=S`` repeats one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bench.fault_contest import KILLS, PLACES, Line, Schedule
from tests.bench.faults import acknowledged, read

SEED = os.environ.get("YOLOSWEEP_CHAOS_SEED")
ROUNDS = 1 if SEED else int(os.environ.get("YOLOSWEEP_CHAOS", "2"))


@pytest.mark.slow
@pytest.mark.nightly  # test_toy_sweep, test_resume and test_storage: a killed worker, driver, controller and head
@pytest.mark.timeout(900 * (ROUNDS or 1))
def test_sweeps_end_right_under_faults_and_lose_no_acknowledged_result(repository: Path, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("a small disk cannot be mounted (needs root)")
    first = int(SEED) if SEED else random.SystemRandom().randrange(10**6)
    results, words = tmp_path / "results.jsonl", ("--first", str(first), "--schedules", str(ROUNDS))
    command = [sys.executable, "-m", "tests.bench.faults", "--results", str(results), "--contestants", "yolosweep"]
    done = subprocess.run([*command, *words], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read(results)
    assert len(found) == ROUNDS
    for result in found:
        outcome = result.outcome
        assert (outcome.right, outcome.acknowledged_lost, outcome.lost, outcome.helped) == (True, 0, 0, 0), result
    assert all(result.outcome.acknowledged for result in found)


def lines(*words: str) -> list[Line]:
    """Return a log from words such as ``7 begin a 1``: process, what, trial, epoch."""
    split = (word.split() for word in words)
    return [Line(float(at), int(pid), what, trial, int(epoch)) for at, (pid, what, trial, epoch) in enumerate(split)]


def test_a_result_is_acknowledged_once_its_process_goes_on() -> None:
    log = lines("7 begin a 1", "7 end a 1", "7 begin a 2", "7 end a 2", "8 begin a 2", "8 end a 2", "8 begin b 1")
    assert acknowledged(log, epochs=2) == ({("a", 1), ("a", 2)}, set())
    assert acknowledged(log[:-1], epochs=2) == ({("a", 1)}, set()), "nobody knows whether the last one is"
    assert acknowledged([*log, *lines("9 begin a 2")], epochs=2)[1] == {("a", 2)}, "trained again"


def test_schedules_strike_everything_and_a_seed_repeats_one() -> None:
    drawn = [Schedule.drawn(seed, faults=2, epochs=40) for seed in range(200)]
    assert {fault.kind for one in drawn for fault in one.faults} == {*KILLS, *filter(None, PLACES.values())}
    assert drawn[7] == Schedule.drawn(7, faults=2, epochs=40)
