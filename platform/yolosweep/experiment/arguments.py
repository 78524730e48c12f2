"""What is known of Ultralytics' train arguments: their names and defaults, and where each has an effect.

Names and defaults are read from the installed release's ``cfg/default.yaml``, as text: nothing is imported.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

__all__ = ["ALIASES", "NOT_TRAINING", "OWNED", "SCORING", "TASKS_OF", "defaults", "explanations", "how_not_what"]

_ALL = ("detect", "segment", "classify", "pose", "obb")
_BOXES = ("detect", "segment", "pose", "obb")

TASKS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("box", "dfl", "cls", "cls_pw", "cls_remap", "distill_model", "dis"), _BOXES),
    **dict.fromkeys(("mosaic", "mixup", "cutmix", "degrees", "translate", "shear", "perspective", "bgr"), _BOXES),
    **dict.fromkeys(("close_mosaic", "multi_scale", "rect", "augmentations", "classes"), _BOXES),
    **dict.fromkeys(("conf", "iou", "max_det", "agnostic_nms"), _BOXES),
    # Copy-paste needs polygons. Keypoint labels hold none; detect labels may, and there it works.
    **dict.fromkeys(("copy_paste", "copy_paste_mode"), ("detect", "segment", "obb")),
    **dict.fromkeys(("overlap_mask", "mask_ratio"), ("segment",)),
    **dict.fromkeys(("pose", "kobj", "rle"), ("pose",)),
    "angle": ("obb",),
    **dict.fromkeys(("dlog", "dgrad", "dlam"), ()),
    **dict.fromkeys(("auto_augment", "erasing", "dropout"), ("classify",)),
}
"""Tasks in which an argument changes a training; arguments that are not listed act in all of them.

Read in Ultralytics 8.4.190: ``data/augment.py`` (v8_transforms, classify_augmentations), ``data/dataset.py``,
``data/build.py``, ``models/yolo/*/train.py`` and ``val.py``, ``utils/loss.py``, ``nn/distill_model.py``.
"""

SCORING = frozenset(("conf", "iou", "max_det", "agnostic_nms"))
"""Arguments that change how a validation counts, not what is learned."""

OWNED = {
    "model": "write it at the top level as model:",
    "data": "write it at the top level as data:",
    "task": "write it at the top level as task:",
    "seed": "write it at the top level as seed:",
    "device": "Ray decides it; set resources.gpus_per_trial",
    "project": "the run folder is decided by storage: and name:",
    "name": "write it at the top level as name:",
    "exist_ok": "every sweep has a folder of its own",
    "save_dir": "the run folder is decided by storage: and name:",
    "resume": "yolosweep resumes whole sweeps",
    "mode": "every trial is a training",
    "save": "checkpoints are always written",
    "val": "every epoch is validated: the search learns from it",
    "split": "trials are ranked on val; test is kept for the winner",
    "time": "a trial whose length hangs on speed cannot be repeated; set train.epochs, or search.time_budget",
    "cfg": "write the arguments under train:",
}
"""Arguments the platform sets itself, with the way out for people who write them under ``train``."""

ALIASES = {
    **dict.fromkeys(("lr", "learning_rate", "base_lr"), "lr0"),
    **dict.fromkeys(("final_lr", "lr_final"), "lrf"),
    **dict.fromkeys(("batch_size", "bs"), "batch"),
    **dict.fromkeys(("img_size", "image_size", "img", "size", "resolution"), "imgsz"),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs"), "epochs"),
    **dict.fromkeys(("wd", "decay"), "weight_decay"),
    **dict.fromkeys(("num_workers", "n_workers"), "workers"),
    **dict.fromkeys(("early_stopping", "early_stopping_patience"), "patience"),
    **dict.fromkeys(("hflip", "horizontal_flip"), "fliplr"),
    **dict.fromkeys(("vflip", "vertical_flip"), "flipud"),
}
"""What other trainers call an argument, and its name in Ultralytics."""

NOT_TRAINING = frozenset(
    (
        *("source", "vid_stride", "stream_buffer", "visualize", "augment", "retina_masks", "embed", "line_width"),
        *("show", "show_labels", "show_conf", "show_boxes"),
        *("save_frames", "save_txt", "save_conf", "save_crop"),
        *("format", "optimize", "dynamic", "simplify", "opset", "workspace", "dnn", "nms", "tracker", "profile"),
    )
)
"""Arguments of predict, export and track: they do nothing in a training."""

_HOW = frozenset(("workers", "verbose", "plots", "save_period", "device", "project", "name", "exist_ok", "save_dir"))


def how_not_what(name: str) -> bool:
    """Tell whether an argument changes only how a training runs, never its result.

    ``cache`` is not among them: with ``cache=ram`` mosaic draws from the whole data set instead of a buffer. Nor is
    ``save_json``: it makes segment validation compare masks at full size.
    """
    return name in _HOW


@functools.lru_cache(maxsize=1)
def _default_yaml() -> str:
    """Return the text of the installed release's ``cfg/default.yaml``; empty where there is none."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        return ""
    return (Path(spec.origin).parent / "cfg" / "default.yaml").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=1)
def defaults() -> dict[str, Any]:
    """Return every Ultralytics argument with its default, from the installed release.

    ``augmentations`` is accepted by Ultralytics without standing in its file, ``balance`` is ours: both are added here.
    """
    text = _default_yaml()
    return {**YAML(typ="safe", pure=True).load(text), "augmentations": "default", "balance": 0.0} if text else {}


@functools.lru_cache(maxsize=1)
def explanations() -> dict[str, str]:
    """Return what the installed release's ``cfg/default.yaml`` says of each argument in its comments."""
    found = re.findall(r"^(\w+):[^#\n]*#\s*(.+)$", _default_yaml(), flags=re.MULTILINE)
    return {
        **dict(found),
        "augmentations": "none, default, or the name of a pipeline under augmentations:",
        "balance": "0 to 1: images of rare classes are shown more often in training; 0 is off, 1 aims at all classes "
        "as often as the most frequent one",
    }
