"""The model YAMLs that Ultralytics ships, in their smallest size: trained, and validated to their training's score.

``yolo11n-cls-resnet18.yaml`` is left out: it downloads weights of torchvision.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_exact_resume import measured, train_until_killed
from tests.contract.test_validation import draw
from tests.tools.model_table import MODELS

from yolosweep.backends import trainer_for
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, Ending, EpochResult, TrialRecord, TrialRequest, Verdict
from yolosweep.report.winner import TOLERANCE

pytestmark = pytest.mark.slow

SETTINGS = {"epochs": 2, "imgsz": 64, "batch": 4, "nbs": 4, "optimizer": "AdamW", "mosaic": 0.0, "plots": False}


def by_night(by_day: str) -> list[Any]:
    """Return all models, all but one for the night: the others are variants of what other tests train."""
    return [
        pytest.param(task, model, marks=() if model == by_day else pytest.mark.nightly, id=model)
        for task, models in MODELS.items()
        for model in models.split()
    ]


def requested(folder: Path, task: str, number: int, model: str, **settings: Any) -> TrialRequest:
    data = folder / "set" if task == "classify" else folder / "set" / "data.yaml"
    return TrialRequest(
        sweep="run", trial=f"t{number:04d}", number=number, task=task, model=model, asked={}, identity="i",
        data=str(data if data.exists() else draw(folder / "set", task)), metric=TASKS[task].default_metric,
        folder=str(folder / "run"), settings={**SETTINGS, "verbose": False, "seed": 0, **settings},
    )  # fmt: skip


def trained(request: TrialRequest) -> tuple[list[EpochResult], TrialRecord]:
    rows: list[EpochResult] = []

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        return Verdict.CONTINUE

    return rows, trainer_for(request.model).train(request, report, lambda: False)


def best_of(request: TrialRequest, record: TrialRecord) -> Path:
    return RunFolder(request.folder).resolve(record.files["best.pt"])


def weights_of(file: Path) -> str:
    """Return the hash of a checkpoint's tensors."""
    from ultralytics.nn.tasks import torch_safe_load

    digest = hashlib.sha256()
    for name, tensor in torch_safe_load(str(file), safe_only=True)[0]["model"].state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def score_again(request: TrialRequest, record: TrialRecord) -> float:
    used = {**request.settings, **record.used}
    trainer, weights = trainer_for(request.model), best_of(request, record)
    found = trainer.validate(weights, task=request.task, data=request.data, split="val", settings=used, gpus=0)
    return found.metrics[request.metric]


@pytest.mark.parametrize(("task", "model"), by_night("yolov10n"))
def test_a_model_is_trained_and_scores_the_same_when_it_is_validated(
    task: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    request = requested(tmp_path, task, 0, f"{model}.yaml")
    _, record = trained(request)
    assert record.ending is Ending.FINISHED, record.reason
    assert score_again(request, record) == pytest.approx(record.score, abs=TOLERANCE)


@pytest.mark.parametrize(("task", "model"), by_night("yolo26n"))
def test_a_model_is_killed_resumed_reproduced_and_trained_from_its_weights(
    task: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole, record = trained(request := requested(tmp_path, task, 0, f"{model}.yaml"))
    assert record.ending is Ending.FINISHED, record.reason
    reproduced = best_of(request, record)

    killed = requested(tmp_path, task, 1, f"{model}.yaml")
    rows, checkpoints = train_until_killed(killed, epochs=1, batches=0)
    resumed = killed.model_copy(update={"attempt": 1, "resume": tuple(reversed(checkpoints))})
    rest, resumed_record = trained(resumed)
    assert measured(rows + rest) == measured(whole)
    assert weights_of(best_of(resumed, resumed_record)) == weights_of(reproduced)

    _, again = trained(twin := requested(tmp_path, task, 2, f"{model}.yaml"))
    assert weights_of(best_of(twin, again)) == weights_of(reproduced)

    start = requested(tmp_path, task, 3, str(reproduced), epochs=4, patience=1)
    rows, tuned = trained(start)
    assert tuned.ending is (Ending.PATIENCE if len(rows) < 4 else Ending.FINISHED), tuned.reason
    assert all(not row.epochs_without_gain for row in rows[:-1])
    assert score_again(start, tuned) == pytest.approx(tuned.score, abs=TOLERANCE)
