"""A checkpoint of every task is scored image by image, in one order whatever it was batched by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROWS = {
    "detect": ("0 0.5 0.5 0.6 0.6\n", ""),
    "segment": ("0 0.1 0.1 0.9 0.1 0.9 0.9\n", ""),
    "obb": ("0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n", ""),
    "pose": ("0 0.5 0.5 0.6 0.6 0.4 0.4 2 0.6 0.6 1" + " 0 0 0" * 15 + "\n", "kpt_shape: [17, 3]\n"),
}
MODELS = {
    "detect": "yolo11n.yaml", "segment": "yolo11n-seg.yaml", "obb": "yolo11n-obb.yaml", "pose": "yolo11n-pose.yaml",
    "classify": "yolo11n-cls.yaml",
}  # fmt: skip
BOXES = {
    **dict.fromkeys(("detect", "pose"), (0.2, 0.2, 0.8, 0.8)),
    **dict.fromkeys(("segment", "obb"), (0.1, 0.1, 0.9, 0.9)),
}  # fmt: skip
LETTERS = {"detect": "B", "segment": "BM", "obb": "B", "pose": "BP"}
IMAGES = 7


def draw(folder: Path, task: str) -> Path:
    """Draw a set of noise, its images of several shapes."""
    for number in range(IMAGES):
        for split in ("train", "val"):
            place = folder / split / f"c{number % 2}" if task == "classify" else folder / "images" / split
            place.mkdir(parents=True, exist_ok=True)
            shape = (48, 64 - 8 * (number % 3), 3)
            blobs = np.random.default_rng(number).integers(0, 255, shape, dtype=np.uint8)
            Image.fromarray(blobs).save(place / f"{number}.png")
            if task != "classify":
                (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
                (folder / "labels" / split / f"{number}.txt").write_text(ROWS[task][0])
    if task == "classify":
        return folder
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n" + ROWS[task][1])
    return folder / "data.yaml"


@pytest.mark.parametrize("task", MODELS)
def test_every_task_is_scored_image_by_image(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter
    from yolosweep.backends.ultralytics.validation import validated

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    enter()
    from ultralytics import YOLO

    data = draw(tmp_path / "set", task)
    model: Any = YOLO(MODELS[task], task=task)
    for branch in getattr(model.model.model[-1], "cv3", ()):
        branch[-1].bias.data[0] += 12  # a model that has learned nothing predicts nothing
    if task == "classify":
        model.model.names = {number: f"c{number}" for number in model.model.names}
    model.save(tmp_path / "best.pt")
    settings = {"imgsz": 64, "batch": 2}
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    whole = validated(
        tmp_path / "best.pt", task=task, data=str(data), split="val", settings=settings, on_gpu=False, pictures=pictures
    )
    found = whole.resampled
    assert found is not None
    assert found.images == IMAGES
    kinds = {f"metrics/{kind}({letter})" for letter in LETTERS.get(task, "") for kind in ("mAP50", "mAP50-95")}
    assert set(found.scores) == (kinds or {"metrics/accuracy_top1", "metrics/accuracy_top5"})

    assert sorted(Path(answer.image).name for answer in whole.answers) == [f"{number}.png" for number in range(IMAGES)]
    matrices = {"confusion_matrix.png", "confusion_matrix_normalized.png"}
    names = {"B": "Box", "M": "Mask", "P": "Pose"}
    curves = {f"{names[x]}{kind}_curve.png" for x in LETTERS.get(task, "") for kind in ("P", "R", "F1", "PR")}
    assert {plot.name for plot in whole.plots} == matrices | curves
    with Image.open(whole.plots[-1]) as plot:
        assert plot.size == (1320, 990)
    for answer in whole.answers:
        (label,) = answer.labels
        if task == "classify":
            assert label.name == Path(answer.image).parent.name
            continue
        assert answer.predictions
        assert (answer.width, answer.height) == (64 - 8 * (int(Path(answer.image).stem) % 3), 48)
        assert label.box == pytest.approx(BOXES[task], abs=0.03)
        assert len(answer.fits[0]) == len(answer.overlaps[0]) == len(answer.predictions)
        assert bool(label.outline) == (task in ("segment", "obb"))
        for x, y in label.outline:
            third = abs(x - y) if task == "segment" else min(abs(x - 0.1), abs(y - 0.9))  # a triangle, or a square
            assert min(abs(y - 0.1), abs(x - 0.9), third) < 0.1, "as far from an edge as a pixel of a mask is wide"
        joints = [0.4, 0.4, 0.6, 0.6] if task == "pose" else []
        assert [share for point in label.keypoints for share in point] == pytest.approx(joints, abs=0.01)


def test_the_winner_is_validated_with_all_arguments_of_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a validation counts depends on more than ``imgsz``: every argument is that of the training."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from yolosweep.backends import trainer_for
    from yolosweep.backends.ultralytics.training_environment import enter
    from yolosweep.records import TrialRequest, Verdict

    enter()
    from ultralytics.engine.validator import BaseValidator

    seen: list[dict[str, Any]] = []
    validate = BaseValidator.__call__

    def watched(validator: Any, trainer: Any = None, model: Any = None) -> Any:
        stats = validate(validator, trainer, model)
        seen.append(vars(validator.args))
        return stats

    monkeypatch.setattr(BaseValidator, "__call__", watched)
    data = draw(tmp_path / "set", "segment")
    changed = {
        "mask_ratio": 1, "overlap_mask": False, "conf": 0.1, "iou": 0.5, "max_det": 20, "classes": [0],
        "agnostic_nms": True, "single_cls": True, "fraction": [1.0, 0.5],
    }  # fmt: skip
    settings = {
        "epochs": 1,
        "imgsz": 32,
        "batch": 4,
        "optimizer": "SGD",
        "plots": False,
        "verbose": False,
        "seed": 0,
        **changed,
    }
    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="segment", model="yolo11n-seg.yaml", data=str(data), asked={},
        identity="i", metric="metrics/mAP50-95(M)", folder=str(tmp_path / "run"), settings=settings,
    )  # fmt: skip
    trainer = trainer_for(request.model)
    record = trainer.train(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    weights = tmp_path / "run" / record.files["best.pt"].path
    trainer.validate(weights, task="segment", data=str(data), split="val", settings={**settings, **record.used}, gpus=0)
    (first, *_), again = seen[:-1], seen[-1]
    assert {name: again[name] for name in changed} == changed
    differ = {name for name in first if first[name] != again[name]}
    # A training's own set of val is rectangular whatever ``rect`` says.
    assert differ <= {"rect", "save_dir", "project", "name", "exist_ok", "mode", "model", "batch", "workers", "device"}
