"""A training that stands still is ended by a timer that needs nothing from it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import TrialHistory
from yolosweep.records import Cause, TrialPolicy, TrialRequest
from yolosweep.runtime.watchdog import Watchdog
from yolosweep.search.final_record import death_cause
from yolosweep.search.stall_limits import limit_s
from yolosweep.storage import Address

STUCK = """
import ctypes, sys
from pathlib import Path
from yolosweep.records import TrialPolicy
from yolosweep.runtime.watchdog import Watchdog

def stands_still():
    ctypes.PyDLL(None).sleep(600)  # never gives the interpreter back

with Watchdog(Path(sys.argv[1]), TrialPolicy(stall_timeout=0.1)) as watchdog:
    watchdog.epoch(0.02)
    stands_still()
"""


def test_a_process_that_holds_the_interpreter_is_ended_with_its_stacks(tmp_path: Path) -> None:
    stacks = tmp_path / "trials" / "stacks.txt"
    done = subprocess.run([sys.executable, "-c", STUCK, str(stacks)], timeout=60, check=False)
    assert done.returncode == 1
    assert "stands_still" in stacks.read_text()


WAITS = """
import sys, threading
from pathlib import Path
from yolosweep.records import TrialPolicy
from yolosweep.ledger import RunFolder
from yolosweep.runtime.watchdog import Watchdog

def waits_for_ever():
    threading.Event().wait()

folder = RunFolder(sys.argv[1])
publish = lambda file: folder.publish(file.read_bytes(), file)
policy = TrialPolicy(stall_timeout=0.1)
with Watchdog(folder.stacks("t0001", 0), policy, publish, setup_factor=6000.0) as watchdog:  # the setup has much longer
    watchdog.epoch(0.02)
    waits_for_ever()
"""


@pytest.mark.slow
def test_where_no_disk_is_shared_the_stacks_reach_the_storage(
    tmp_path: Path, empty_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(Address.parse(empty_bucket()).join("run"))
    there = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "there")}
    done = subprocess.run([sys.executable, "-c", WAITS, address], timeout=60, check=False, env=there)
    assert done.returncode == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    request = TrialRequest(
        sweep="s", trial="t0001", number=1, identity="i", task="detect", model="m", data="d", folder=address,
        settings={"epochs": 9}, asked={}, metric="m", mode="max", cpus=1, gpus=0, policy=TrialPolicy(),
    )  # fmt: skip
    cause, reason = death_cause(RunFolder(address), TrialHistory(request=request, started_at=""), "exit")
    assert cause is Cause.STALLED, reason
    assert "waits_for_ever" in RunFolder(address).bring(RunFolder(address).stacks("t0001", 0)).read_text()
    other = TrialHistory(request=request.model_copy(update={"trial": "t0002"}), started_at="")
    assert death_cause(RunFolder(address), other, "exit")[0] is Cause.INFRA


def test_a_training_that_ends_leaves_nothing(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.txt"
    with Watchdog(stacks, TrialPolicy()) as watchdog:
        watchdog.progress()
        watchdog.epoch(1.0)
        watchdog.epoch(None)
    assert not stacks.exists()
    with Watchdog(stacks, TrialPolicy(stall_timeout=600), publish=print) as watchdog:
        watchdog.progress()
    assert not stacks.exists()


@given(st.lists(st.floats(0.001, 1e5), max_size=20), st.floats(1.0, 1e4), st.floats(0.5, 20.0))
@pytest.mark.slow
def test_the_limit_is_never_below_the_timeout_nor_below_some_epochs(
    epochs: list[float], timeout: float, factor: float
) -> None:
    limit = limit_s(epochs, TrialPolicy(stall_timeout=timeout, stall_factor=factor))
    assert limit >= timeout
    assert limit >= factor * min(epochs, default=0.0)
    assert limit <= max(timeout, factor * max(epochs, default=0.0))
