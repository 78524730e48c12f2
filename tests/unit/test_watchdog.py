"""A training that stands still is ended by a timer that needs nothing from it."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from yolosweep.experiment.schema import Policy
from yolosweep.search.watchdog import Watchdog, limit_s

STUCK = """
import ctypes, sys
from pathlib import Path
from yolosweep.experiment.schema import Policy
from yolosweep.search.watchdog import Watchdog

def stands_still():
    ctypes.PyDLL(None).sleep(600)  # never gives the interpreter back

with Watchdog(Path(sys.argv[1]), Policy(stall_timeout=0.1)) as watchdog:
    watchdog.epoch(0.02)
    stands_still()
"""


def test_a_process_that_holds_the_interpreter_is_ended_with_its_stacks(tmp_path: Path) -> None:
    stacks = tmp_path / "trials" / "stacks.txt"
    done = subprocess.run([sys.executable, "-c", STUCK, str(stacks)], timeout=60, check=False)
    assert done.returncode == 1
    assert "stands_still" in stacks.read_text()


def test_a_training_that_ends_leaves_nothing(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.txt"
    with Watchdog(stacks, Policy()) as watchdog:
        watchdog.alive()
        watchdog.epoch(1.0)
        watchdog.epoch(None)
    assert not stacks.exists()


@given(st.lists(st.floats(0.001, 1e5), max_size=20), st.floats(1.0, 1e4), st.floats(0.5, 20.0))
def test_the_limit_is_never_below_the_timeout_nor_below_some_epochs(
    epochs: list[float], timeout: float, factor: float
) -> None:
    limit = limit_s(epochs, Policy(stall_timeout=timeout, stall_factor=factor))
    assert limit >= timeout
    assert limit >= factor * min(epochs, default=0.0)
    assert limit <= max(timeout, factor * max(epochs, default=0.0))
