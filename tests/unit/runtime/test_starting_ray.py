"""Ray is started once more if it was not up in time. ``ray.init`` is a stand-in: no test makes a machine so busy."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from yolosweep.errors import ClusterError
from yolosweep.runtime.tune_adapter import connected

SLOW = "The current node timed out during startup. This could happen because the GCS has become overloaded."


class Init:
    """Stands in for ``ray.init``: fails as often as told, and leaves a process each time, as Ray does."""

    def __init__(self, *errors: str) -> None:
        self.errors, self.left, self.calls = list(errors), list[subprocess.Popen[bytes]](), 0

    def __call__(self, **settings: Any) -> Any:
        self.calls += 1
        if self.errors:
            sleeping = [sys.executable, "-c", "import time; time.sleep(600)", "/site-packages/ray/core/raylet"]
            self.left.append(subprocess.Popen(sleeping))
            raise Exception(self.errors.pop(0))
        return SimpleNamespace(address_info={"address": "127.0.0.1:6379"})


@pytest.fixture(autouse=True)
def _own_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "nodes", list)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)


@pytest.fixture(autouse=True)
def _programs_that_just_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line of each process is empty when it is read first: until its program runs, Linux shows none."""
    read, seen = psutil.Process.cmdline, set[int]()

    def cmdline(process: psutil.Process) -> list[str]:
        if process.pid in seen:
            return read(process)
        seen.add(process.pid)
        return []

    monkeypatch.setattr(psutil.Process, "cmdline", cmdline)


def test_ray_is_started_once_more_if_it_was_too_slow_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    init = Init(SLOW)
    monkeypatch.setattr("ray.init", init)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with connected() as cluster:
            assert (cluster.address, cluster.joined, init.calls) == ("127.0.0.1:6379", False, 2)
        assert init.left[0].wait(60) < 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(("errors", "calls"), [((SLOW, SLOW), 2), (("no space left on device",), 1)])
def test_what_fails_again_or_otherwise_is_an_error(
    monkeypatch: pytest.MonkeyPatch, errors: tuple[str, ...], calls: int
) -> None:
    init = Init(*errors)
    monkeypatch.setattr("ray.init", init)
    with pytest.raises(ClusterError, match="Ray cannot start on this machine: "), connected():
        pytest.fail("it did not start")
    assert init.calls == calls
    assert all(process.wait(60) < 0 for process in init.left)
