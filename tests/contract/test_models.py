"""The model YAMLs that Ultralytics ships, in their smallest size: trained, and validated to their training's score.

``yolo11n-cls-resnet18.yaml`` is left out: it downloads weights of torchvision.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.test_validation import draw

from yolosweep.backends import trainer_for
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.records import Ending, TrialRequest, Verdict
from yolosweep.report.winner import TOLERANCE

pytestmark = pytest.mark.slow

MODELS = {
    "detect": (
        "yolov3-tiny yolov3-spp yolov5n yolov5n-p6 yolov6n yolov8n yolov8n-p2 yolov8n-p6 yolov8n-ghost yolov9t "
        "yolov10n yolo11n yolo12n yolo26n yolo26n-p2 yolo26n-p6"
    ),
    "segment": "yolov8n-seg yolov8n-seg-p6 yolov9c-seg yolo11n-seg yolo12n-seg yolo26n-seg",
    "pose": "yolov8n-pose yolov8n-pose-p6 yolo11n-pose yolo12n-pose yolo26n-pose",
    "obb": "yolov8n-obb yolo11n-obb yolo12n-obb yolo26n-obb",
    "classify": "yolov8n-cls yolov8n-cls-resnet50 yolo11n-cls yolo12n-cls yolo26n-cls",
}
BY_DAY = ("yolov10n", "yolo26n")  # the others are variants of what the trainer's contract and e2e tests train


@pytest.mark.parametrize(
    ("task", "model"),
    [
        pytest.param(task, model, marks=() if model in BY_DAY else pytest.mark.nightly, id=model)
        for task, models in MODELS.items()
        for model in models.split()
    ],
)
def test_a_model_is_trained_and_scores_the_same_when_it_is_validated(
    task: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = str(draw(tmp_path / "set", task))
    settings = {"epochs": 2, "imgsz": 64, "batch": 4, "nbs": 4, "optimizer": "AdamW", "mosaic": 0.0, "plots": False}
    metric = TASKS[task].default_metric
    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task=task, model=f"{model}.yaml", data=data, asked={}, identity="i",
        metric=metric, folder=str(tmp_path / "run"), settings={**settings, "verbose": False, "seed": 0},
    )  # fmt: skip
    trainer = trainer_for(request.model)
    record = trainer.train(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    assert record.ending is Ending.FINISHED, record.reason
    weights = tmp_path / "run" / record.files["best.pt"].path
    used = {**request.settings, **record.used}
    again = trainer.validate(weights, task=task, data=data, split="val", settings=used, gpus=0)
    assert again.metrics[metric] == pytest.approx(record.score, abs=TOLERANCE)
