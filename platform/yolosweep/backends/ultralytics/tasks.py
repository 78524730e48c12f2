"""Ultralytics' tasks: one entry holds everything that depends on the task."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from yolosweep.backends.backend import Task

__all__ = ["TASKS", "YoloTask", "class_of"]

_KINDS = ("precision", "recall", "mAP50", "mAP50-95")


@dataclass(frozen=True, kw_only=True)
class YoloTask(Task):
    """A task that Ultralytics trains."""

    prefix: str
    """Start of the names of its classes: ``Detection`` of ``DetectionTrainer``."""
    suffix: str | None
    """End of the names of its official models: ``seg`` of ``yolo26n-seg.pt``."""
    from_folders: bool = False
    """Whether the data are a folder per class, read by ``ClassificationDataset``, instead of a data.yaml."""
    polygons: Literal["optional", "drawn", "none"] = "none"
    """Whether labels may be polygons (``optional``), are polygons that can be drawn, or never are."""
    doubles_val_batch: bool = True
    """Whether the validator of a training gets twice the training batch."""
    rectangular_val: bool = True
    """Whether a validation batches images of similar shape."""


def _metrics(*letters: str) -> tuple[str, ...]:
    return tuple(f"metrics/{kind}({letter})" for letter in letters for kind in _KINDS)


TASKS: dict[str, YoloTask] = {
    "detect": YoloTask(
        prefix="Detection", suffix=None, metrics=_metrics("B"), default_metric="metrics/mAP50-95(B)",
        shares_images=True, polygons="optional",
    ),
    "segment": YoloTask(
        prefix="Segmentation", suffix="seg", metrics=_metrics("B", "M"), default_metric="metrics/mAP50-95(M)",
        shares_images=True, polygons="drawn",
    ),
    "classify": YoloTask(
        prefix="Classification", suffix="cls", metrics=("metrics/accuracy_top1", "metrics/accuracy_top5"),
        default_metric="metrics/accuracy_top1", from_folders=True, doubles_val_batch=False, rectangular_val=False,
    ),
    "pose": YoloTask(
        prefix="Pose", suffix="pose", metrics=_metrics("B", "P"), default_metric="metrics/mAP50-95(P)",
        shares_images=True,
    ),
    "obb": YoloTask(
        prefix="OBB", suffix="obb", metrics=_metrics("B"), default_metric="metrics/mAP50-95(B)",
        shares_images=True, polygons="drawn", doubles_val_batch=False,
    ),
}  # fmt: skip


def class_of(task: str, kind: Literal["Trainer", "Validator"]) -> Any:
    """Return Ultralytics' trainer or validator class of a task."""
    return getattr(import_module(f"ultralytics.models.yolo.{task}"), f"{TASKS[task].prefix}{kind}")
