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
    "pose": ("0 0.5 0.5 0.6 0.6 0.4 0.4 2 0.6 0.6 1\n", "kpt_shape: [2, 3]\n"),
}
MODELS = {
    "detect": "yolo11n.yaml", "segment": "yolo11n-seg.yaml", "obb": "yolo11n-obb.yaml", "pose": "yolo11n-pose.yaml",
    "classify": "yolo11n-cls.yaml",
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
    from yolosweep.backends.ultralytics.environment import enter
    from yolosweep.backends.ultralytics.validation import validated

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    enter()
    from ultralytics import YOLO

    data = draw(tmp_path / "set", task)
    model: Any = YOLO(MODELS[task], task=task)
    model.save(tmp_path / "best.pt")
    settings = {"imgsz": 64, "batch": 2}
    found = validated(
        tmp_path / "best.pt", task=task, data=str(data), split="val", settings=settings, on_gpu=False
    ).resampled
    assert found is not None
    assert found.images == IMAGES
    kinds = {f"metrics/{kind}({letter})" for letter in LETTERS.get(task, "") for kind in ("mAP50", "mAP50-95")}
    assert set(found.scores) == (kinds or {"metrics/accuracy_top1", "metrics/accuracy_top5"})
