"""How each train argument is shown to have its effect: a value, and the training in which it makes a difference.

``tests/contract/test_argument_effects.py`` trains each twice, with and without it; the table of
``platform/docs/arguments.md`` is generated from here and from the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EFFECTS_TEST = "tests/contract/test_argument_effects.py"
VALIDATION_TEST = "tests/contract/test_validation.py"
RULES_TEST = "tests/unit/experiment/test_argument_table.py"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A value of an argument that changes a training, and what else must be set for it."""

    value: Any
    task: str = "detect"
    beside: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    """Another model than the smallest YOLO11 of the task."""


TEACHER = "TEACHER"
"""Stands for weights made by a training before, with the data's classes in the other order."""


def _sgd(value: Any, **beside: Any) -> Effect:
    return Effect(value=value, beside=beside)


EFFECTS: dict[str, Effect] = {
    "epochs": _sgd(3),
    "batch": _sgd(5),
    "imgsz": _sgd(64),
    "pretrained": _sgd(TEACHER),
    "cls_remap": _sgd(False, pretrained=TEACHER),
    "optimizer": _sgd("AdamW"),
    "single_cls": _sgd(True),
    "rect": _sgd(True),
    "cos_lr": _sgd(True, epochs=3),
    "close_mosaic": _sgd(1, mosaic=1.0),
    "fraction": _sgd(0.5),
    "freeze": _sgd(3),
    "multi_scale": _sgd(0.9, imgsz=64),
    "overlap_mask": Effect(value=False, task="segment"),
    "mask_ratio": Effect(value=1, task="segment"),
    "dropout": Effect(value=0.5, task="classify"),
    "classes": _sgd([0]),
    "lr0": _sgd(0.02),
    "lrf": _sgd(0.5),
    "momentum": _sgd(0.5),
    "weight_decay": _sgd(0.1),
    "warmup_epochs": _sgd(0.0),
    "warmup_momentum": _sgd(0.1),
    "warmup_bias_lr": _sgd(0.5),
    "distill_model": _sgd(TEACHER),
    "dis": _sgd(1.0, distill_model=TEACHER),
    "box": _sgd(1.0),
    "cls": _sgd(2.0),
    "cls_pw": _sgd(1.0),
    "dfl": _sgd(0.1),
    "pose": Effect(value=1.0, task="pose"),
    "kobj": Effect(value=9.0, task="pose"),
    "rle": Effect(value=9.0, task="pose", model="yolo26n-pose.yaml"),
    "angle": Effect(value=9.0, task="obb"),
    "nbs": _sgd(8),
    "hsv_h": _sgd(0.5),
    "hsv_s": _sgd(0.0),
    "hsv_v": _sgd(0.0),
    "degrees": _sgd(45.0),
    "translate": _sgd(0.4),
    "scale": _sgd(0.0),
    "shear": _sgd(9.0),
    "perspective": _sgd(0.001),
    "flipud": _sgd(1.0),
    "fliplr": _sgd(0.0),
    "bgr": _sgd(1.0),
    "mosaic": _sgd(1.0, close_mosaic=0),
    "mixup": _sgd(1.0, close_mosaic=0),
    "cutmix": _sgd(1.0, close_mosaic=0),
    "copy_paste": Effect(value=1.0, task="segment", beside={"close_mosaic": 0}),
    "copy_paste_mode": Effect(value="mixup", task="segment", beside={"copy_paste": 1.0, "close_mosaic": 0}),
    "auto_augment": Effect(value="augmix", task="classify"),
    "erasing": Effect(value=1.0, task="classify"),
    "augmentations": _sgd([{"Blur": {"p": 1.0}}]),
    "balance": _sgd(1.0),
}
"""Argument → what changes a training. All by night, :data:`BY_DAY` in every run of the tests."""

BY_DAY = ("momentum", "cls_pw", "shear")
"""Arguments that no other test of a training covers, one of each kind: optimizer, loss, augmentation."""

SHOWN_ELSEWHERE: dict[str, str] = {
    "patience": "tests/contract/test_trainer.py",
    "cache": EFFECTS_TEST,
    "workers": EFFECTS_TEST,
    "verbose": EFFECTS_TEST,
    "plots": EFFECTS_TEST,
    "deterministic": EFFECTS_TEST,
    **dict.fromkeys(("conf", "iou", "max_det", "agnostic_nms"), VALIDATION_TEST),
}
"""Argument → the test that shows it, where two trainings with equal rows cannot."""

GPU_ONLY: dict[str, str] = {
    "amp": "on the CPU Ultralytics trains with 32 bits whatever it is",
    "channels_last": "Ultralytics changes the memory layout on CUDA only",
    "compile": "torch.compile makes a training faster; its result is the same up to rounding",
}
"""Arguments whose effect needs a GPU or a compiler: the test shows that they arrive in the trainer."""
