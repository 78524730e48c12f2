"""What is known of Ultralytics' train arguments: their names and defaults, and where each has an effect.

Names and defaults are read from the installed release's ``cfg/default.yaml``, as text: nothing is imported.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

__all__ = ["NOT_TRAINING", "OWNED", "TASKS_OF", "defaults", "how_not_what"]

_ALL = ("detect", "segment", "classify", "pose", "obb")
_BOXES = ("detect", "segment", "pose", "obb")

TASKS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("box", "dfl", "cls", "cls_pw"), _BOXES),
    **dict.fromkeys(("mosaic", "mixup", "cutmix", "degrees", "translate", "shear", "perspective", "bgr"), _BOXES),
    **dict.fromkeys(("close_mosaic", "multi_scale", "rect", "iou", "max_det", "augmentations"), _BOXES),
    **dict.fromkeys(("copy_paste", "copy_paste_mode"), ("segment", "obb")),
    **dict.fromkeys(("overlap_mask", "mask_ratio", "retina_masks"), ("segment",)),
    **dict.fromkeys(("pose", "kobj", "rle"), ("pose",)),
    "angle": ("obb",),
    **dict.fromkeys(("dlog", "dgrad", "dlam"), ()),
    **dict.fromkeys(("auto_augment", "erasing", "dropout"), ("classify",)),
}
"""Tasks in which an argument changes a training; arguments that are not listed act in all of them."""

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
    "time": "an epoch count that hangs on speed is not reproducible; set train.epochs, and search.time_budget for the sweep",
    "cfg": "write the arguments under train:",
}
"""Arguments the platform sets itself, with the way out for people who write them under ``train``."""

NOT_TRAINING = frozenset(
    "source vid_stride stream_buffer visualize augment agnostic_nms classes embed show save_frames save_txt save_conf "
    "save_crop show_labels show_conf show_boxes line_width format optimize dynamic simplify opset workspace dnn nms "
    "tracker profile".split()
)
"""Arguments of predict, export and track: they do nothing in a training."""

_HOW = frozenset("workers verbose plots cache save_period save_json device project name exist_ok save_dir".split())


def how_not_what(name: str) -> bool:
    """Tell whether an argument changes only how a training runs, never its result."""
    return name in _HOW


@functools.lru_cache(maxsize=1)
def defaults() -> dict[str, Any]:
    """Return every Ultralytics argument with its default, from the installed release.

    ``augmentations`` is accepted by Ultralytics without standing in its file, so it is added here.
    """
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        return {}
    text = (Path(spec.origin).parent / "cfg" / "default.yaml").read_text(encoding="utf-8")
    return {**YAML(typ="safe", pure=True).load(text), "augmentations": "default"}
