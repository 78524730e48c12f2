"""A checkpoint scored on one split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.ultralytics.arguments import train_arguments
from yolosweep.backends.ultralytics.environment import enter
from yolosweep.backends.ultralytics.tasks import TASKS, class_of
from yolosweep.errors import TrainingError
from yolosweep.records import Validation
from yolosweep.storage.scratch import scratch_folder

__all__ = ["validated"]


def validated(
    weights: Path, *, task: str, data: str, split: str, settings: Mapping[str, Any], on_gpu: bool
) -> Validation:
    """Score a checkpoint on one split, as Ultralytics does at the end of a training.

    ``on_gpu`` allows a GPU if torch finds one.

    Raises:
        TrainingError: the file cannot be loaded, or the data are missing.
    """
    enter()
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    how = {key: settings[key] for key in ("imgsz", "iou", "max_det", "single_cls") if key in settings}
    # The validator of a training groups images like this: same grouping, same score.
    batch = train_arguments().batch(settings) * (2 if TASKS[task].doubles_val_batch else 1)
    arguments = {
        **how, "batch": batch, "rect": TASKS[task].rectangular_val, "plots": False, "verbose": False, "mode": "val",
        "task": task, "data": data, "split": split, "workers": 0, "model": str(weights),
        "device": None if on_gpu else "cpu",
    }  # fmt: skip
    try:
        with scratch_folder("val") as scratch:
            validator = class_of(task, "Validator")(args={**arguments, "save_dir": str(scratch)}, save_dir=scratch)
            stats = validator(model=str(weights))
    except Exception as error:
        raise TrainingError(f"cannot validate {weights} on {split} of {data}: {last_line(error)}") from error
    metrics = {name: round(float(value), 5) for name, value in stats.items() if name != "fitness"}
    return Validation(split=split, metrics=metrics, per_class=_per_class(validator))


def _per_class(validator: Any) -> dict[str, dict[str, float]]:
    """Return the metrics of every class that occurs, where the task has them (not for classify)."""
    metrics = validator.metrics
    if not hasattr(metrics, "ap_class_index") or not hasattr(metrics, "class_result"):
        return {}
    keys = [key for key in metrics.keys if key.startswith("metrics/")]
    return {
        str(validator.names[int(index)]): {
            key: round(float(value), 5) for key, value in zip(keys, metrics.class_result(position), strict=False)
        }
        for position, index in enumerate(metrics.ap_class_index)
    }
