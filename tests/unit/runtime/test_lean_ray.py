"""What is left out of a Ray for one sweep, with a real Ray."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from yolosweep.runtime.lean_ray import lean_start, lean_tune
from yolosweep.runtime.tune_adapter import connected


class Trainable:
    def process(self) -> int:
        return os.getpid()


def children() -> dict[int, str]:
    return {one.pid: " ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)}


@pytest.mark.slow
def test_only_needed_processes_start_and_trials_run_in_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray.tune.execution.class_cache import _ActorClassCache

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with connected():
        started = list(children().values())
        assert any("raylet" in line for line in started)
        assert not [line for line in started if "monitor.py" in line or "dashboard.py" in line], started

        def waiting() -> set[int]:
            return {process for process, line in children().items() if line.startswith("ray::IDLE")}

        until = time.monotonic() + 300
        while len(waiting()) < ray.cluster_resources()["CPU"] and time.monotonic() < until:
            time.sleep(0.1)
        before = waiting()
        for in_application in (True, False):  # an idle process may have run the application's code
            with lean_tune(in_application=in_application):
                actor = _ActorClassCache().get(Trainable).remote()
                assert (ray.get(actor.process.remote()) in before) is not in_application
            ray.kill(actor)


def test_everything_is_as_before_afterwards() -> None:
    from ray._private import parameter, services, utils
    from ray.air._internal import usage
    from ray.tune.execution import class_cache
    from ray.tune.execution.tune_controller import TuneController

    def parts() -> list[object]:
        return [
            parameter.RayParams, services.start_api_server, utils.get_dashboard_dependency_error, usage.tag_callbacks,
            class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE, TuneController.checkpoint,
        ]  # fmt: skip

    before = parts()
    with lean_start(), lean_tune(in_application=False):
        assert not [one for one, was in zip(parts(), before, strict=True) if one is was]
    assert parts() == before
