"""A checkpoint scored on one split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends.bootstrap_resampling import Detections, mean_over_images, resampled
from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.ultralytics.arguments import OURS, train_arguments
from yolosweep.backends.ultralytics.recording_validator import draw_confusion, keeping
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.backends.ultralytics.training_environment import enter
from yolosweep.errors import TrainingError
from yolosweep.records import Resampled, Validation
from yolosweep.storage.temporary_folders import scratch_folder

__all__ = ["validated"]


_FIXED = {"mode": "val", "plots": False, "verbose": False, "workers": 0}

_OF_TRAINING = frozenset(("compile", "half", "quantize", "cache", "pretrained", "distill_model", "freeze"))
"""Arguments that act on the training alone, or that Ultralytics sets itself in the validation of a training."""


def validated(
    weights: Path,
    *,
    task: str,
    data: str,
    split: str,
    settings: Mapping[str, Any],
    on_gpu: bool,
    pictures: Path | None = None,
    square: bool = False,
) -> Validation:
    """Score a checkpoint on one split, as Ultralytics does at the end of a training.

    Args:
        weights: a checkpoint, or an exported model.
        task: what it was trained for.
        data: the data set.
        split: one of its splits.
        settings: those it was trained with.
        on_gpu: whether a GPU may be used, if torch finds one.
        pictures: a folder in which plots are drawn; with one, the answers are kept, too.
        square: whether every image is padded to a square, as for an exported model, instead of keeping its shape.

    Raises:
        TrainingError: the file cannot be loaded, or the data are missing.
    """
    enter()
    from ultralytics.utils import LOGGER

    from yolosweep.backends.ultralytics.stripped_checkpoint import weights_sha256

    LOGGER.setLevel("ERROR")
    where = {"data": data, "split": split, "model": str(weights), "device": None if on_gpu else "cpu"}
    arguments = {**_arguments(task, settings, square=square), **where}
    try:
        with scratch_folder("val") as scratch:
            validator = keeping(task)(args={**arguments, "save_dir": str(scratch)}, save_dir=scratch)
            validator.pictures = pictures
            stats = validator(model=str(weights))
            scores = _of_answers(validator) if task == "classify" else _of_detections(validator)
            plots = draw_confusion(validator)
        digest = weights_sha256(weights) if weights.suffix == ".pt" else ""
    except Exception as error:
        raise TrainingError(f"cannot validate {weights} on {split} of {data}: {last_line(error)}") from error
    return Validation(
        split=split,
        metrics={name: round(float(value), 5) for name, value in stats.items() if name != "fitness"},
        per_class=_per_class(validator),
        weights_sha256=digest,
        resampled=scores,
        confidence=validator.threshold,
        answers=tuple(validator.answers),
        plots=plots,
    )


def _arguments(task: str, settings: Mapping[str, Any], *, square: bool) -> dict[str, Any]:
    """Return how a validator scores; it groups images as that of a training does: same grouping, same score."""
    batch = train_arguments().batch(settings) * (2 if TASKS[task].doubles_val_batch else 1)
    rect = TASKS[task].rectangular_val and not square
    return {**shared_with_training(settings), **_FIXED, "task": task, "batch": batch, "rect": rect}


def shared_with_training(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a validation that scores as the training with these settings did.

    The validator of a training gets a copy of all its arguments: ``mask_ratio``, ``classes`` or ``conf`` change what
    is counted as much as ``imgsz`` does. So all are handed on but those without a meaning here.
    """
    known = train_arguments()
    left_out = {*_OF_TRAINING, *known.runtime_only, *known.owned, *OURS}
    return {name: value for name, value in settings.items() if name in known.defaults and name not in left_out}


def _of_detections(validator: Any) -> Resampled | None:
    """Return mAP50 and mAP50-95 on resamples, of boxes and of masks or keypoints where the task has them."""
    kept = {
        name: [values[at] for at in _in_order(validator.dataloader.dataset.im_files)]
        for name, values in validator.kept.items()
    }
    sets = {
        letter: Detections(kept[name], kept["conf"], kept["pred_cls"], kept["target_cls"])
        for name, letter in (("tp", "B"), ("tp_m", "M"), ("tp_p", "P"))
        if name in kept
    }

    def score(weights: Any) -> dict[str, float]:
        return {name: value for letter, one in sets.items() for name, value in one.scores(weights, letter).items()}

    return resampled(len(kept["target_cls"]), score)


def _of_answers(validator: Any) -> Resampled | None:
    """Return the top-1 and top-5 accuracy on resamples."""
    import numpy as np
    import torch

    order = _in_order([sample[0] for sample in validator.dataloader.dataset.samples])
    is_right = (torch.cat(validator.pred) == torch.cat(validator.targets)[:, None]).numpy()[order].astype(float)
    accuracies = {"metrics/accuracy_top1": is_right[:, 0], "metrics/accuracy_top5": is_right.max(axis=1)}
    return mean_over_images(accuracies, np.arange(len(is_right)), len(is_right))


def _in_order(files: Sequence[str]) -> list[int]:
    """Return the images by name, so that they are in one order whatever they were batched by."""
    return sorted(range(len(files)), key=files.__getitem__)


def _per_class(validator: Any) -> dict[str, dict[str, float]]:
    """Return the metrics of every class that occurs, where the task has them (not for classify)."""
    metrics = validator.metrics
    if not hasattr(metrics, "ap_class_index") or not hasattr(metrics, "class_result"):
        return {}
    keys = [key for key in metrics.keys if key.startswith("metrics/")]
    return {
        str(validator.names[int(index)]): _defined(
            {key: round(float(value), 5) for key, value in zip(keys, metrics.class_result(position), strict=False)}
        )
        for position, index in enumerate(metrics.ap_class_index)
    }


def _defined(values: dict[str, float]) -> dict[str, float]:
    """Return NaN for the precision of a class that was never found, which Ultralytics may count as 1."""
    undefined = {name for name in values if "precision" in name and values[name.replace("precision", "recall")] == 0}
    return {name: math.nan if name in undefined else value for name, value in values.items()}
