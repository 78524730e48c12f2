"""Ray Tune's searcher and scheduler of a sweep, called as Tune calls them; no process of Ray is started."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher
from ray.tune.utils.callback import _create_default_callbacks

from yolosweep.cluster import Allocation
from yolosweep.ledger import RunFolder
from yolosweep.runtime import sweep_scheduler
from yolosweep.runtime.controller_client import ControllerClient
from yolosweep.runtime.sweep_scheduler import SweepScheduler, SweepSearcher, trial_name
from yolosweep.runtime.tune_adapter import run_trials
from yolosweep.search.trial_generator import Offer
from yolosweep.search.worker_table import Look

OFFER = Offer(trial="t0007", parameters={"lr0": 0.01}, excluded=("n1",))


class Controller:
    """Stands in for the sweep controller."""

    name = "c"

    def __init__(self, *answers: Any) -> None:
        self.answers, self.calls = list(answers), list[Any]()

    def suggest(self) -> Any:
        return self.answers.pop(0)

    def withdrawn(self, trial: str) -> None:
        self.calls.append(("withdrawn", trial))

    def look(self, busy: dict[str, str]) -> Look:
        self.calls.append(busy)
        return Look(hung=("a1",), settled=("t0002", "t0003"), activities=())

    def lost(self, trial: str, error: str) -> tuple[str, ...]:
        self.calls.append((trial, error))
        return ("n1",)


def trial(name: str, status: str, actor: str = "") -> Any:
    """Return what the scheduler reads of a Tune trial."""
    ray_actor = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: actor)) if actor else None
    placed: list[Any] = []
    return SimpleNamespace(
        config={"yolosweep": {"trial": name}}, status=status, temporary_state=SimpleNamespace(ray_actor=ray_actor),
        placed=placed, update_resources=placed.append, get_pickled_error=lambda: None,
        get_error=lambda: "Traceback\n  boom\n",
    )  # fmt: skip


def searcher(controller: Controller, room: Callable[[], int] = lambda: 8) -> SweepSearcher:
    return SweepSearcher(controller, room)  # type: ignore[arg-type]


def test_a_trial_has_its_own_name_and_parameters() -> None:
    config = searcher(Controller(OFFER)).suggest("1")
    assert config == {"lr0": 0.01, "yolosweep": {"trial": "t0007", "controller": "c", "excluded": ["n1"]}}
    assert trial_name(SimpleNamespace(config=config)) == "t0007"


def test_after_a_wait_the_controller_is_asked_again_once_a_trial_has_ended() -> None:
    controller = Controller(OFFER, "wait", None)
    asking = searcher(controller)
    asking.suggest("1")
    assert [asking.suggest("2") for _ in range(9)] == [None] * 9
    asking.on_trial_complete("1", error=True)
    assert asking.suggest("3") == Searcher.FINISHED
    assert controller.calls == [("withdrawn", "t0007")]


def test_all_first_trials_wait_for_nodes_to_join_but_only_one_that_could_know_a_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_scheduler, "_POLL_S", 0.0)
    room, controller = [2], Controller(*[OFFER] * 9)
    asking = searcher(controller, lambda: room[0])
    assert None not in [asking.suggest(str(number)) for number in range(5)]
    for ended in ("0", "1"):
        asking.on_trial_complete(ended)
    assert asking.suggest("5") is None, "two are trained and one waits"
    room[0] = 3
    assert [asking.suggest(str(number)) is None for number in (6, 7)] == [False, True]


def test_processes_that_hang_are_killed_and_trials_that_need_none_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[Any] = []
    stopped: list[Any] = []
    monkeypatch.setattr(sweep_scheduler.ray, "kill", killed.append)
    hung, waits, ends = (
        trial("t0001", Trial.RUNNING, "a1"),
        trial("t0002", Trial.PENDING),
        trial("t0003", Trial.RUNNING),
    )
    tune = SimpleNamespace(
        get_live_trials=lambda: [hung, waits, ends, trial("t0004", Trial.ERROR)], stop_trial=stopped.append
    )
    controller = Controller()
    SweepScheduler(controller, lambda excluded: None, lambda now: None).choose_trial_to_run(tune)  # type: ignore[arg-type]
    assert controller.calls == [{"a1": "t0001"}]
    assert killed == [hung.temporary_state.ray_actor]
    assert stopped == [waits]


@pytest.mark.parametrize(("status", "placed"), [(Trial.ERROR, [["n1"]]), (Trial.PENDING, [])])
def test_a_trial_whose_process_died_is_placed_elsewhere(status: str, placed: list[Any]) -> None:
    controller = Controller()
    lost = trial("t0001", status)
    SweepScheduler(controller, list, lambda now: None).on_trial_error(None, lost)  # type: ignore[arg-type]
    assert controller.calls == [("t0001", "boom")]
    assert lost.placed == placed


def test_tune_can_store_both_which_nobody_reads() -> None:
    assert pickle.dumps(searcher(Controller()))
    assert pickle.dumps(SweepScheduler(Controller(), lambda excluded: None, lambda now: None))  # type: ignore[arg-type]


class Stopped:
    """A Tune trial that was stopped before its first result."""

    last_result: ClassVar[dict[str, Any]] = {}


def test_tune_prints_no_trial_that_was_stopped_before_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    TrialProgressCallback().on_trial_complete(0, [], Stopped())
    assert "completed" in capfd.readouterr().out, "Tune's own prints nothing any more: ours can go"
    configured: list[Any] = []

    def tuner(trainable: Any, *, tune_config: Any, run_config: Any) -> Any:
        configured.append(run_config)
        return SimpleNamespace(fit=lambda: None)

    monkeypatch.setattr("ray.tune.Tuner", tuner)
    run_trials(
        RunFolder(tmp_path), cast("ControllerClient", Controller()), Allocation(cpus=1, gpus=0, concurrent=1),
        in_application=False, watch=lambda activities: None,
    )  # fmt: skip
    used = _create_default_callbacks(configured[0].callbacks)
    progress = [one for one in used if isinstance(one, TrialProgressCallback)]
    assert len(progress) == 1
    progress[0].on_trial_complete(0, [], Stopped())
    assert capfd.readouterr().out == ""
