"""Two arguments that change what is validated: the winner's score is that of its training, or the pair is refused.

No pair is trained. The training's own validator scores a checkpoint as the training would, after its setup.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_validation import IMAGES, MODELS, draw

from yolosweep.backends.arguments import DataTraits
from yolosweep.backends.ultralytics.callbacks import TrainingCallbacks
from yolosweep.backends.ultralytics.stripped_checkpoint import save_weights
from yolosweep.backends.ultralytics.trainer import _Run, _unreported
from yolosweep.backends.ultralytics.validation import validated
from yolosweep.experiment.rules import lint, lint_with_data
from yolosweep.experiment.schema import Experiment
from yolosweep.records import TrialRequest

pytestmark = pytest.mark.slow

VALUES: dict[str, Any] = {
    "imgsz": 96, "batch": 3, "rect": True, "conf": 0.4, "iou": 0.3, "max_det": 40, "agnostic_nms": True,
    "classes": [0], "single_cls": True, "fraction": 0.5, "mask_ratio": 1, "overlap_mask": False, "multi_scale": 0.5,
    "compile": True, "cache": "ram", "workers": 2, "amp": True, "channels_last": True, "deterministic": False,
    "plots": True, "freeze": 3, "balance": 1.0, "augment": True, "dnn": True, "quantize": 16, "val": False,
    "save_json": True, "half": True, "end2end": False,
}  # fmt: skip
"""Arguments of a validation, arguments of a training that its validator sees, and some that are refused."""

PAIRS = list(itertools.combinations(VALUES, 2))
BY_DAY = (("conf", "mask_ratio"), ("single_cls", "overlap_mask"))
BASE = {"epochs": 2, "imgsz": 64, "batch": 4, "nbs": 4, "optimizer": "SGD", "warmup_epochs": 0.0}


SQUARES = "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n1 0.375 0.375 0.875 0.375 0.875 0.875 0.375 0.875\n"


def _answer_squares(head: Any) -> None:
    """Let an untrained head answer with squares of 40 pixels, their masks full; random are only their confidences."""
    for level, distance in zip(head.cv2, (2.5, 1.25, 0.625), strict=True):
        bins = level[-1].bias.data.view(4, -1)
        bins[:] = -9.0
        low = int(distance)
        bins[:, low], bins[:, low + 1] = math.log(1 - distance + low), math.log(max(distance - low, 1e-9))
    for level, confidence in zip(head.cv3, (-1.0, 0.0, 1.0), strict=True):  # conf drops the small anchors
        level[-1].bias.data[:] = confidence
    for level in head.cv4:
        level[-1].bias.data[:] = 1.0
    head.proto.cv3.bn.bias.data[:] = 2.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights that predict objects everywhere, beside the data they are scored on."""
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics import YOLO
    from ultralytics.nn.tasks import SegmentationModel

    folder = tmp_path_factory.mktemp("pairs")
    data = draw(folder / "set", "segment")
    data.write_text(data.read_text().replace("[a]", "[a, b]"))
    for file in (folder / "set" / "labels").glob("*/*.txt"):
        file.write_text(SQUARES)
    model: Any = YOLO(MODELS["segment"], task="segment")
    model.model = SegmentationModel(MODELS["segment"], nc=2, verbose=False)
    _answer_squares(model.model.model[-1])
    model.model.names = {0: "a", 1: "b"}
    model.save(folder / "best.pt")
    return Path(folder / "best.pt")


def is_refused(settings: dict[str, Any], data: str) -> bool:
    exp = Experiment.model_validate(
        {
            "name": "pair", "task": "segment", "model": MODELS["segment"], "data": data, "train": settings,
            "search": {"trials": 2, "parameters": {"translate": {"min": 0.1, "max": 0.4}}},
        }
    )  # fmt: skip
    traits = DataTraits(train_images=IMAGES, names={0: "a", 1: "b"})
    return bool(lint(exp) or lint_with_data(exp, traits))


def scored_in_training(weights: Path, data: str, settings: dict[str, Any], scratch: Path) -> dict[str, float]:
    """Set a training up, score its weights as it does after an epoch, and leave its ``best.pt``."""
    import torch

    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="segment", model=str(weights), data=data, asked={}, identity="i",
        metric="metrics/mAP50-95(M)", folder=str(scratch / "run"), settings={**settings, "seed": 0, "verbose": False},
    )  # fmt: skip
    run = _Run(request, TrainingCallbacks(request, _unreported, lambda: False, scratch), scratch)
    trainer = run._trainer()
    trainer._setup_train()
    trainer.loss_items = {f"{name}_loss": torch.zeros(()) for name in ("box", "seg", "cls", "dfl", "sem")}
    trainer.loss = torch.zeros(())
    metrics, trainer.fitness = trainer.validate()
    trainer.metrics = metrics
    save_weights(trainer, scratch / "best.pt")
    return {name: float(value) for name, value in metrics.items() if name.startswith("metrics/")}


@pytest.mark.parametrize(
    ("one", "other"), [pytest.param(*pair, marks=() if pair in BY_DAY else pytest.mark.nightly) for pair in PAIRS]
)
def test_a_winner_is_scored_as_its_training_was_or_the_pair_is_refused(
    one: str, other: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = {**BASE, one: VALUES[one], other: VALUES[other]}
    data = str(weights.parent / "set" / "data.yaml")
    if is_refused(settings, data):
        return
    recorded = scored_in_training(weights, data, settings, tmp_path)
    best = tmp_path / "best.pt"
    again = validated(best, task="segment", data=data, split="val", settings=settings, on_gpu=False).metrics
    assert recorded["metrics/mAP50-95(B)"] > 0 or "single_cls" in settings  # of one class, the head is new
    assert {name: again[name] for name in recorded} == pytest.approx(recorded, abs=0.001)
