"""What ``yolosweep init`` writes for Ultralytics' models."""

from __future__ import annotations

from yolosweep.backends.backend import Starter
from yolosweep.backends.ultralytics.arguments import acts_in
from yolosweep.backends.ultralytics.tasks import TASKS

__all__ = ["starter"]

_SMALL = 1000
"""Below this many training images an epoch has so few steps that holding gradients (nbs) costs too many of them."""
_IMGSZ = {"classify": 224}
_DEFAULT_IMGSZ = 640

_LR0 = "lr0: {min: 1.0e-4, max: 1.0e-2, distribution: log_uniform_values}  # AdamW wants less than SGD"
_DECAY = "weight_decay: {min: 1.0e-5, max: 1.0e-2, distribution: log_uniform_values}"
_BOXES = (
    _LR0,
    _DECAY,
    "scale: {min: 0.2, max: 0.9}  # how much objects are made larger and smaller",
    "hsv_v: {min: 0.0, max: 0.8}  # brightness",
    "mixup: {min: 0.0, max: 0.3}",
)
_SPACES: dict[str, tuple[str, ...]] = {
    "detect": (*_BOXES, "box: {min: 4.0, max: 12.0}  # weight of the box loss"),
    "segment": (*_BOXES, "copy_paste: {min: 0.0, max: 0.5}  # objects cut out and pasted elsewhere"),
    "pose": (*_BOXES, "pose: {min: 6.0, max: 24.0}  # weight of the keypoint loss"),
    "obb": (*_BOXES, "degrees: {min: 0.0, max: 180.0}  # rotation; narrow it where up is always up"),
    "classify": (
        _LR0,
        _DECAY,
        "dropout: {min: 0.0, max: 0.5}",
        "scale: {min: 0.2, max: 0.9}  # how much of the image may be cropped away",
        "erasing: {min: 0.0, max: 0.6}  # parts blanked out",
    ),
}


def starter(task: str, batch: int, train_images: int | None) -> Starter:
    """Return the model, the fixed arguments and the search space to begin with."""
    suffix = TASKS[task].suffix
    return Starter(
        model=f"yolo26n-{suffix}.pt" if suffix else "yolo26n.pt",
        train=tuple(_train(task, batch, train_images)),
        space=_SPACES[task],
    )


def _train(task: str, batch: int, train_images: int | None) -> list[str]:
    lines = [
        "epochs: 50",
        f"imgsz: {_IMGSZ.get(task, _DEFAULT_IMGSZ)}",
        f"batch: {batch}",
        "optimizer: AdamW  # with auto, Ultralytics chooses the learning rate itself and lr0 has no effect",
        "patience: 15  # a trial ends after this many epochs without gain",
    ]
    if acts_in("close_mosaic", task):
        lines.append("close_mosaic: 10  # the last epochs see whole images")
    if train_images is not None and train_images < _SMALL:
        lines.append(f"nbs: {batch}  # few images: let every batch change the weights")
    return lines
