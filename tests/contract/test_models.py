"""The model YAMLs that Ultralytics ships, in their smallest size: a whole life, with the files of a sweep.

``yolo11n-cls-resnet18.yaml`` is left out: it downloads weights of torchvision.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_exact_resume import measured, train_until_killed
from tests.contract.test_validation import draw
from tests.tools.model_table import MODELS
from tests.tools.placing import take

from yolosweep import api
from yolosweep.backends import trainer_for
from yolosweep.backends.ultralytics.backend import UltralyticsBackend
from yolosweep.backends.ultralytics.stripped_checkpoint import weights_sha256
from yolosweep.cluster import Allocation, write_view_on_driver
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Checkpoint, Ending, EpochResult, TrialRecord, TrialRequest, Verdict
from yolosweep.report.verified_winner import TOLERANCE
from yolosweep.search.controller import SweepController

pytestmark = pytest.mark.slow

TRAIN = {"epochs": 2, "imgsz": 64, "batch": 4, "nbs": 4, "optimizer": "AdamW", "warmup_epochs": 0.0}
WAIVED = ("leak-exact",)


def by_night(by_day: str) -> list[Any]:
    """Return all models, all but one for the night: the others are variants of what other tests train."""
    return [
        pytest.param(task, model, marks=() if model == by_day else pytest.mark.nightly, id=model)
        for task, models in MODELS.items()
        for model in models.split()
    ]


def searched_here(sweep: Any) -> str:
    """Search in this process, where a sweep starts Ray: all else of it is what ``yolosweep run`` does."""
    dataset = write_view_on_driver(sweep._checked.gate, sweep._checked.dataset, sweep._folder)
    alone = Allocation(cpus=1, gpus=0, concurrent=1)
    about = sweep._controller_arguments(dataset, sweep._store_models(), alone, {})
    controller = SweepController(sweep._folder.address, clock=time.monotonic, **about)
    while isinstance(request := take(controller), TrialRequest):
        _, record = trained(request, controller)
        controller.ended(record, request.attempt)
    return controller.close()


def trained(request: TrialRequest, controller: SweepController | None = None) -> tuple[list[EpochResult], TrialRecord]:
    rows: list[EpochResult] = []

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        return Verdict.CONTINUE if controller is None else controller.row(request.trial, row, checkpoint)

    return rows, trainer_for(request.model).train(request, report, lambda: False)


def winner_of(experiment: Any, **overrides: Any) -> tuple[Path, TrialHistory, str]:
    """Run a sweep of one trial; return its folder, its trial, and the hash of the winner's weights."""
    sweep = api.run(experiment, allow=WAIVED, **overrides)
    winner = sweep.best.winner
    found = winner.validations["val"].metrics[winner.metric]
    assert found == pytest.approx(winner.score, abs=TOLERANCE)
    return sweep.path, History.of(sweep.run_folder).trials[winner.trial], winner.weights_sha256


@pytest.mark.parametrize(("task", "model"), by_night("yolo26n"))
def test_a_model_wins_is_reproduced_killed_resumed_and_trained_from_its_weights(
    task: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("yolosweep.workflows.sweep_run._Sweep._search", searched_here)
    monkeypatch.setattr(
        UltralyticsBackend, "check_arguments", lambda *_: ([], [])
    )  # a process that imports torch, each time
    experiment = {
        "name": "life", "task": task, "model": f"{model}.yaml", "data": str(draw(tmp_path / "set", task)),
        "train": TRAIN, "search": {"trials": 1, "parameters": {"lr0": {"value": 0.002}}},
    }  # fmt: skip
    run, whole, weights = winner_of(experiment, storage=str(tmp_path / "runs"))
    reproduced = winner_of(run / "winner" / "reproduce.yaml", storage=str(tmp_path / "again"))
    assert reproduced[2] == weights
    assert weights in (run / "winner" / "reproduce.yaml").read_text()
    assert reproduced[1].request.identity == whole.request.identity

    killed = whole.request.model_copy(update={"folder": str(tmp_path / "killed")})
    rows, checkpoints = train_until_killed(killed, epochs=1, batches=0)
    rest, record = trained(killed.model_copy(update={"attempt": 1, "resume": tuple(reversed(checkpoints))}))
    assert measured(rows + rest) == measured(whole.rows)
    assert weights_sha256(RunFolder(killed.folder).resolve(record.files["best.pt"])) == weights

    start = {**experiment, "model": str(run / "winner" / "best.pt"), "train": {**TRAIN, "epochs": 4, "patience": 1}}
    _, tuned, _ = winner_of(start, storage=str(tmp_path / "tuned"))
    assert tuned.record is not None
    assert tuned.record.ending is (Ending.PATIENCE if len(tuned.rows) < 4 else Ending.FINISHED), tuned.record.reason
    assert all(not row.epochs_without_gain for row in tuned.rows[:-1])


def test_first_weights_do_not_depend_on_the_models_before_them() -> None:
    """A process trains one trial after the other, and ``search.parameters.model`` gives them other models."""
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    import torch
    from ultralytics import YOLO

    found = []
    for before in ("yolo11n.yaml", "yolov8n.yaml"):
        YOLO(before)
        torch.manual_seed(0)
        model: Any = YOLO("yolov10n.yaml").model
        found.append([value.sum().item() for value in model.state_dict().values()])
    assert found[0] == found[1]
