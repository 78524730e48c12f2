"""Ultralytics' train arguments: names, defaults, and the tasks in which each has an effect.

Names, defaults and explanations are read from the installed release's ``cfg/default.yaml`` as text: nothing is
imported.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from yolosweep.backends.arguments import Arguments

__all__ = [
    *("ALIASES", "DEFAULTS", "NOT_TRAINING", "OURS", "OWNED", "SCORING", "TASKS_OF", "WEIGHTS"),
    *("acts_in", "is_installed", "train_arguments"),
]

DEFAULTS = Path(__file__).with_name("default.yaml")
"""Copy of the pinned release's ``cfg/default.yaml``: experiments can be planned and read without the library."""

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
"""Tasks in which an argument changes a training; arguments that are not listed act in all tasks.

As read in Ultralytics 8.4.190: ``data/augment.py`` (v8_transforms, classify_augmentations), ``data/dataset.py``,
``data/build.py``, ``models/yolo/*/train.py`` and ``val.py``, ``utils/loss.py``, ``nn/distill_model.py``.
"""

WEIGHTS = frozenset(("pretrained", "distill_model"))
"""Arguments that name weights beside the model."""

SCORING = frozenset(("conf", "iou", "max_det", "agnostic_nms"))
"""Arguments that change how a validation counts, not what the model learns."""

OWNED = {
    "model": "write it at the top level as model:",
    "data": "write it at the top level as data:",
    "task": "write it at the top level as task:",
    "seed": "write it at the top level as seed:",
    "device": "Ray assigns devices; set resources.gpus_per_trial",
    "project": "storage: and name: decide the run folder",
    "name": "write it at the top level as name:",
    "exist_ok": "every sweep has its own folder; remove it",
    "save_dir": "storage: and name: decide the run folder",
    "resume": "yolosweep resumes whole sweeps: yolosweep resume RUN",
    "mode": "every trial is a training; remove it",
    "save": "checkpoints are always written; remove it",
    "save_period": "trial.checkpoint_every decides how often a state is stored; remove it",
    "save_json": "predictions of trials are not kept; run `yolo val save_json=True` on the winner's best.pt, remove it",
    "val": "every epoch is validated, because the search learns from it; remove it",
    "split": "trials are ranked on val, test is reserved for the winner; remove it",
    "nms": "every trial is scored through NMS, which is Ultralytics' default; remove it",
    "time": "a trial whose length depends on speed cannot be repeated; set train.epochs, or search.time_budget",
    "cfg": "write the arguments under train:",
}
"""Arguments that yolosweep sets itself, each with the fix for users who write it under ``train``."""

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
"""Name of an argument in other libraries → its name in Ultralytics."""

NOT_TRAINING = frozenset(
    (
        *("source", "vid_stride", "stream_buffer", "visualize", "augment", "retina_masks", "embed", "line_width"),
        *("show", "show_labels", "show_conf", "show_boxes"),
        *("save_frames", "save_txt", "save_conf", "save_crop"),
        *("format", "optimize", "dynamic", "simplify", "opset", "workspace", "dnn", "tracker", "profile"),
        *("half", "int8", "end2end", "keras"),  # names of earlier releases
    )
)
"""Arguments of predict, export and track: they have no effect on a training."""

_RUNTIME_ONLY = frozenset(("workers", "verbose", "plots", "device", "project", "name", "exist_ok", "save_dir"))
"""Arguments that change how a training runs, never its result.

``cache`` changes no result either, because our mosaics always choose from all images; it stays part of a trial's
identity, which recorded runs have.
"""

DECADES = {"lr0": 1.0, "batch": 0.6, "imgsz": 0.4}
"""Fits to 100 recorded configurations each of BCCD and of a drawn parking lot say 0.8 and 0.9 for the learning rate,
0.7 and 0.5 for the batch, and 0.5 and 0.4 for the image size."""

OURS: dict[str, tuple[Any, str]] = {
    # Ultralytics accepts augmentations without listing it in its file.
    "augmentations": ("default", "none, default, or the name of a pipeline under augmentations:"),
    "balance": (
        0.0,
        "0 to 1: images of rare classes are shown more often in training; 0 is off, 1 aims at all classes "
        "as often as the most frequent one",
    ),
}
"""Arguments beyond Ultralytics' file: default and explanation."""


def acts_in(name: str, task: str) -> bool:
    """Return whether an argument changes a training of a task."""
    return task in TASKS_OF.get(name, _ALL)


@functools.lru_cache(maxsize=1)
def train_arguments() -> Arguments:
    """Return every train argument with its default and explanation, as of the installed release."""
    text = _default_yaml()
    explained = dict(re.findall(r"^(\w+):[^#\n]*#\s*(.+)$", text, flags=re.MULTILINE))
    return Arguments(
        defaults={**YAML(typ="safe", pure=True).load(text), **{name: value for name, (value, _) in OURS.items()}},
        explanations={**explained, **{name: why for name, (_, why) in OURS.items()}},
        quiet={"plots": False, "verbose": False},
        owned=OWNED,
        aliases=ALIASES,
        not_training=NOT_TRAINING,
        files=WEIGHTS,
        scoring=SCORING,
        decades=DECADES,
        runtime_only=_RUNTIME_ONLY,
    )


def is_installed() -> bool:
    """Return whether Ultralytics is installed: reading and checking need it not, training does."""
    return importlib.util.find_spec("ultralytics") is not None


def _default_yaml() -> str:
    """Return the text of the installed release's ``cfg/default.yaml``, or of our copy of it where none is installed."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        return DEFAULTS.read_text(encoding="utf-8")
    return (Path(spec.origin).parent / "cfg" / "default.yaml").read_text(encoding="utf-8")
