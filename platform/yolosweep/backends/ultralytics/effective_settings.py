"""Settings that Ultralytics changes because of the data or of other settings: what a training really uses.

Each rule was read in the source of Ultralytics 8.4.190, in the function named beside it. Searching for one is a
fault (:mod:`yolosweep.backends.ultralytics.ineffective_arguments`); a default or a fixed value is recorded as used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from yolosweep.backends.ultralytics.arguments import acts_in, train_arguments
from yolosweep.backends.ultralytics.ineffective_arguments import FLIPS, MIXES

__all__ = ["Change", "adapted", "switched_off"]


class Change(NamedTuple):
    """A setting in the training, and why it differs from what was asked for."""

    value: Any
    why: str


def switched_off(task: str, settings: Mapping[str, Any], data: str) -> dict[str, Change]:
    """Return the augmentations that a training switches off, which Ultralytics' own ``args.yaml`` records as on.

    Args:
        task: the task.
        settings: train arguments as asked for.
        data: the data.yaml that is trained on.
    """
    off: dict[str, str] = {}
    if task == "pose" and not _flip_idx(data):  # data/augment.py v8_transforms
        off |= dict.fromkeys(FLIPS, "data.yaml has no flip_idx")
    if acts_in("rect", task) and train_arguments().value(settings, "rect"):  # data/dataset.py build_transforms
        off |= dict.fromkeys(MIXES, "rect=True switches it off")
    return {name: Change(0.0, why) for name, why in off.items() if train_arguments().value(settings, name)}


def adapted(trainer: Any, settings: Mapping[str, Any]) -> dict[str, Change]:
    """Return what a training changed when it had read the data; nothing before."""
    found = {}
    asked, used = train_arguments().value(settings, "max_det"), getattr(trainer.args, "max_det", None)
    if used is not None and used != asked:  # models/yolo/detect/val.py _check_max_det
        found["max_det"] = Change(used, f"an image has {used} objects")
    dataset = getattr(getattr(trainer, "train_loader", None), "dataset", None)
    if trainer.args.cache in (True, "ram") and dataset is not None and getattr(dataset, "cache", "ram") is None:
        found["cache"] = Change(False, "the images do not fit in memory")  # data/base.py check_cache_ram
    return found


def _flip_idx(data: str) -> Any:
    from ultralytics.utils import YAML

    return YAML.load(data).get("flip_idx")
