"""Rules for Ultralytics' train arguments: wrong task, unknown words, what data and ranks rule out.

Arguments without effect because of other arguments are in :mod:`yolosweep.backends.ultralytics.ineffective_arguments`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from yolosweep.backends.arguments import ArgumentSpace, DataTraits, nearest_name
from yolosweep.backends.ultralytics.arguments import SCORING, TASKS_OF, WEIGHTS, acts_in
from yolosweep.backends.ultralytics.ineffective_arguments import (
    closing_notes,
    fixed_notes,
    ineffective,
    ineffective_on_data,
)
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.errors import Fault

__all__ = ["data_faults", "faults", "notes"]

_OPTIMIZERS = ("SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto")
_WORDS = {
    "optimizer": _OPTIMIZERS,
    "copy_paste_mode": ("flip", "mixup"),
    "auto_augment": ("randaugment", "autoaugment", "augmix"),
    "compile": ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
}
"""Arguments that take one of a few words, which Ultralytics checks only while it trains."""
_OR = {"auto_augment": (None, False, ""), "compile": (True, False)}
"""What else such an argument takes."""
_BALANCE = "must be a number from 0 (off) to 1 (all classes as often as the most frequent one), e.g. 0.5"
_NOT_NEGATIVE = ("workers", "close_mosaic", "warmup_epochs", "box", "cls", "dfl", "pose", "kobj", "rle", "angle", "dis")
"""Arguments whose sign Ultralytics does not check (``cfg/__init__.py`` CFG_INT_MIN, CFG_FRACTION_KEYS have others)."""
_STRIDE = 32
_COUNTED = ("classes", "single_cls")
_MOST_ADAM_STEPS = 10_000
"""``engine/trainer.py`` build_optimizer: up to so many iterations "auto" is AdamW, without warmup."""


def faults(space: ArgumentSpace) -> Iterator[Fault]:
    """Yield every fault that shows without the data."""
    values = (_words, _not_negative, _balance, _sizes)
    for rule in (_task, *values, _counted, _weights, _quantize, _cache, _ranks, ineffective):
        yield from rule(space)


def _task(space: ArgumentSpace) -> Iterator[Fault]:
    for key, name in space.keys.items():
        if not acts_in(name, space.task):
            tasks = TASKS_OF[name]
            where = f"it acts in {', '.join(tasks)} only" if tasks else "it belongs to another task"
            yield Fault(key=key, message=f"has no effect with task={space.task}: {where}; remove it")


def _words(space: ArgumentSpace) -> Iterator[Fault]:
    for name, words in _WORDS.items():
        allowed = [word.lower() if name == "optimizer" else word for word in words]
        for value in space.values(name):
            text = str(value).lower() if name == "optimizer" else value
            if text in allowed or value in _OR.get(name, ()):
                continue
            guess = nearest_name(str(value), words)
            hint = f"did you mean {guess}?" if guess else f"one of {', '.join(words)}"
            article = "an" if name[0] in "ao" else "a"
            message = f"{value!r} is not {article} {name} of Ultralytics; {hint}"
            yield Fault(key=space.key(name), message=message)


def _not_negative(space: ArgumentSpace) -> Iterator[Fault]:
    for name in _NOT_NEGATIVE:
        if name in (*space.fixed, *space.searched) and min(space.numbers(name), default=0) < 0:
            yield Fault(key=space.key(name), message=f"{min(space.numbers(name)):g} must be 0 or more")


def _balance(space: ArgumentSpace) -> Iterator[Fault]:
    """Yield a fault for the first strength that is not a number from 0 to 1."""
    for value in space.values("balance"):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            yield Fault(key=space.key("balance"), message=f"{value!r} {_BALANCE}")
            return


def _sizes(space: ArgumentSpace) -> Iterator[Fault]:
    """Yield a fault for image sizes that Ultralytics would change (utils/checks.py check_imgsz)."""
    for value in space.values("imgsz"):
        if isinstance(value, (list, tuple)):
            message = f"{value} is not one number: a training would take the largest; write {max(value, default=640)}"
            yield Fault(key=space.key("imgsz"), message=message)
        elif isinstance(value, int) and value % _STRIDE:
            rounded = math.ceil(value / _STRIDE) * _STRIDE
            message = f"{value} is no multiple of {_STRIDE}: Ultralytics would train with {rounded}; write {rounded}"
            yield Fault(key=space.key("imgsz"), message=message)


def _counted(space: ArgumentSpace) -> Iterator[Fault]:
    """Yield searched arguments that decide which labels a validation counts, or nothing at all."""
    for name in _COUNTED:
        if name in space.searched:
            message = "decides which labels count, so scores could not be compared; set it under train:"
            yield Fault(key=f"search.parameters.{name}", message=message)
    if "cache" in space.searched:
        message = "changes how a trial runs, not its result; set train.cache instead"
        yield Fault(key="search.parameters.cache", message=message)
    if any(isinstance(value, (list, tuple)) for value in space.searched.get("fraction", ())):
        message = "a list decides how many images of val count, so scores could not be compared; search numbers"
        yield Fault(key="search.parameters.fraction", message=message)


def _weights(space: ArgumentSpace) -> Iterator[Fault]:
    """Yield weights beside the model by a name or relative path: trials run in other folders, and download nothing."""
    for name in sorted(WEIGHTS):
        for value in space.values(name):
            if isinstance(value, str) and not Path(value).is_absolute():
                message = (
                    f"there is no file {value} beside the experiment; write the path of one which every node can read"
                )
                yield Fault(key=space.key(name), message=message)


def _quantize(space: ArgumentSpace) -> Iterator[Fault]:
    if not space.always("quantize", None):
        message = (
            "is not supported: 8 is quantization-aware training, which needs nvidia-modelopt, other values have no "
            "effect; train.amp decides about 16 bits, yolo export quantizes the winner, remove it"
        )
        yield Fault(key=space.key("quantize"), message=message)


def _cache(space: ArgumentSpace) -> Iterator[Fault]:
    if any(str(value).lower() == "disk" for value in space.values("cache")):
        message = (
            "'disk' writes arrays beside the images, which are never touched; remove it, decoded images are shared by "
            "all trials of a node anyway (trial.image_cache)"
        )
        yield Fault(key=space.key("cache"), message=message)


def _ranks(space: ArgumentSpace) -> Iterator[Fault]:
    if space.ranks > 1 and space.fixed.get("rect"):
        message = f"batches of one shape cannot be shared by {space.ranks} ranks; remove it"
        yield Fault(key="train.rect", message=message)


def data_faults(space: ArgumentSpace, data: DataTraits) -> Iterator[Fault]:
    """Yield the faults that depend on the data."""
    yield from _classes(space, data.names)
    yield from _held_gradients(space, data.train_images)
    yield from _last_batch(space, data.train_images)
    yield from _auto_is_adam(space, data.train_images)
    yield from ineffective_on_data(space, data)


def _classes(space: ArgumentSpace, names: Mapping[int, str]) -> Iterator[Fault]:
    asked = space.fixed.get("classes")
    asked = asked if isinstance(asked, (list, tuple)) else [asked] * (asked is not None)
    if names and (unknown := [one for one in asked if one not in names]):
        have = ", ".join(f"{number} {name}" for number, name in list(names.items())[:10])
        message = f"the data have no class {', '.join(map(str, unknown))}; choose from {have}"
        yield Fault(key="train.classes", message=message)


def _held_gradients(space: ArgumentSpace, train_images: int) -> Iterator[Fault]:
    """Yield a fault where gradients are held for longer than an epoch: next to nothing would be learned.

    ``nbs`` (nominal batch size) makes Ultralytics hold gradients over round(nbs / batch) batches.
    """
    nominal = max(space.numbers("nbs"), default=64)
    for batch in sorted(batch for batch in space.numbers("batch") if batch >= 1):  # others have a fault of their own
        held, batches = round(nominal / batch), math.ceil(train_images / batch)
        if held > batches:
            yield Fault(
                key=space.key("nbs"),
                message=f"{nominal:g} holds the gradients of {held} batches of {batch:g}, but the {train_images} "
                f"training images make only {batches}: the weights would change less than once per epoch; "
                f"set train.nbs: {int(min(batch, train_images))}",
            )
            return


def _last_batch(space: ArgumentSpace, train_images: int) -> Iterator[Fault]:
    """Yield a fault where an epoch ends with one image of one cell (engine/trainer.py _build_train_pipeline)."""
    sizes, shrinks = space.numbers("imgsz"), max(space.numbers("multi_scale"), default=0.0)
    smallest = max(_STRIDE, int(min(sizes, default=0) * (1 - shrinks)))
    if not sizes or smallest >= 2 * _STRIDE or space.ranks > 1 or not space.always("fraction", 1.0):
        return
    for batch in space.numbers("batch"):
        if batch >= 1 and (train_images % batch or batch) == 1:
            message = (
                f"{batch:g} leaves one of {train_images} training images for the last batch, where at imgsz={smallest} "
                f"BatchNorm has a single value per channel; choose another batch, or images of {2 * _STRIDE} or more"
            )
            yield Fault(key=space.key("batch"), message=message)
            return


def _auto_is_adam(space: ArgumentSpace, train_images: int) -> Iterator[Fault]:
    epochs, batch = space.epochs, min(space.numbers("batch"), default=space.defaults["batch"])
    steps = math.ceil(train_images / max(batch, min(space.numbers("nbs"), default=64))) * epochs
    if not space.always("optimizer", "auto") or steps > _MOST_ADAM_STEPS:
        return
    for name in ("momentum", "warmup_momentum"):
        if name in space.searched:
            yield Fault(
                key=f"search.parameters.{name}",
                message=f"has no effect: with {train_images} images and {epochs} epochs train.optimizer=auto is AdamW "
                "with its own momentum; set train.optimizer, e.g. SGD",
            )


def notes(space: ArgumentSpace) -> Iterator[str]:
    """Yield what is legal but may surprise, one sentence each."""
    yield from fixed_notes(space)
    yield from closing_notes(space)
    for name in sorted(WEIGHTS):
        for file in (value for value in space.values(name) if isinstance(value, str) and not Path(value).is_file()):
            yield f"{space.key(name)}: there is no file {file} on this machine; every trial needs it"
    for name in sorted(SCORING & space.fixed.keys()):
        if space.fixed[name] != space.defaults.get(name):
            yield f"train.{name} changes how a validation counts: compare scores within this sweep only"
    for name in sorted({"mask_ratio", "overlap_mask"} & space.searched.keys()):
        yield f"search.parameters.{name} also changes the masks a validation compares with: scores differ by it alone"
    if "copy_paste" in space.searched and TASKS[space.task].polygons == "optional":
        yield "search.parameters.copy_paste acts only where the labels are polygons: boxes cannot be cut out"
    epochs = space.epochs
    warmup = max(space.numbers("warmup_epochs"), default=0)
    if isinstance(epochs, int) and warmup >= math.ceil(epochs / 2) and epochs > 1:
        fix = f"set train.warmup_epochs: {int(epochs > 2)}"
        yield f"warmup_epochs={warmup:g} takes half or more of {epochs} epochs; {fix}"
