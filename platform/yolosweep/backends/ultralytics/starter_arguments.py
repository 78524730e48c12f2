"""What ``yolosweep init`` writes for Ultralytics' models."""

from __future__ import annotations

import math

from yolosweep.backends.backend import Starter, small_batch
from yolosweep.backends.ultralytics.arguments import acts_in
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.records import DataProfile

__all__ = ["starter"]

_EPOCHS = 50
_SMALL = 1000
"""Below this many training images an epoch has so few steps that holding gradients (nbs) costs too many of them."""
_IMGSZ = {"classify": 224}
_DEFAULT_IMGSZ = 640
_STRIDE, _LARGEST = 32, 1280
_VISIBLE_PX = 8.0
"""Side of one cell of the finest feature map: of smaller boxes a model sees less than one cell."""
_STEP = 1.2
"""The next image size to try is about this much larger."""
_SEARCHED_BATCH = 64
"""From this many training images on, the batch is searched."""

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


def starter(task: str, data: DataProfile, epochs: int | None = None) -> Starter:
    """Return the model, the fixed arguments and the search space to begin with."""
    suffix, batch = TASKS[task].suffix, small_batch(data.train_images)
    sizes = image_sizes(task, data)
    batches = (batch // 2, batch, batch * 2) if (data.train_images or 0) >= _SEARCHED_BATCH else (batch,)
    searched = []
    if len(batches) > 1:
        searched.append(f"batch: {{values: {list(batches)}}}")
    if len(sizes) > 1:
        searched.append(f"imgsz: {{values: {list(sizes)}}}  # {_reason(data)}; larger sees more and trains longer")
    return Starter(
        model=f"yolo26n-{suffix}.pt" if suffix else "yolo26n.pt",
        train=tuple(_train(task, epochs or _EPOCHS, batches, sizes, data)),
        space=(*_SPACES[task], *searched),
    )


def image_sizes(task: str, data: DataProfile) -> tuple[int, ...]:
    """Return the image sizes to search, or the one to train with where the data say nothing about it.

    Images are not enlarged, unless their smaller boxes would be smaller than what a model can see, and not trained
    larger than Ultralytics' default unless these boxes need it.
    """
    usual = _IMGSZ.get(task, _DEFAULT_IMGSZ)
    if data.longer_side is None:
        return (usual,)
    size = min(_multiple(data.longer_side), usual)
    if data.small_box:
        needed = min(_multiple(_VISIBLE_PX / data.small_box), _LARGEST)
        size = max(size, min(needed, max(2 * size, usual)))
    return (size, _multiple(size * _STEP)) if task != "classify" else (size,)


def _multiple(size: float) -> int:
    return max(math.ceil(size / _STRIDE - 1e-9), 1) * _STRIDE


def _reason(data: DataProfile) -> str:
    boxes = (
        "" if not data.small_box or not data.longer_side else f", small boxes {data.small_box * data.longer_side:.0f}"
    )
    return f"images have {data.longer_side} pixels{boxes}"


def _train(task: str, epochs: int, batches: tuple[int, ...], sizes: tuple[int, ...], data: DataProfile) -> list[str]:
    lines = [
        f"epochs: {epochs}",
        *([f"imgsz: {sizes[0]}"] if len(sizes) == 1 else []),
        *([f"batch: {batches[0]}"] if len(batches) == 1 else []),
        "optimizer: AdamW  # with auto, Ultralytics chooses the learning rate itself and lr0 has no effect",
        f"patience: {min(15, max(epochs // 3, 5))}  # a trial ends after this many epochs without gain",
    ]
    if acts_in("close_mosaic", task):
        lines.append(f"close_mosaic: {min(10, epochs // 5)}  # the last epochs see whole images")
    if data.train_images is not None and data.train_images < _SMALL:
        lines.append(f"nbs: {batches[0]}  # few images: let every batch change the weights")
    return lines
