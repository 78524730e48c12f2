"""Arguments that have no effect because of the values of other arguments.

Each rule was read in the source of Ultralytics 8.4.190, in the function named beside it. A rule applies only if the
argument has no effect in any trial of the search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from yolosweep.backends.arguments import ArgumentSpace, DataTraits
from yolosweep.backends.ultralytics.arguments import acts_in
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.errors import Fault

__all__ = ["FLIPS", "MIXES", "closing_notes", "fixed_notes", "ineffective", "ineffective_on_data"]

_ADAM = ("adam", "adamax", "adamw", "nadam", "radam")
MIXES = ("mosaic", "mixup", "cutmix")
_CLOSED = (*MIXES, "copy_paste")
_HSV = ("hsv_h", "hsv_s", "hsv_v")
FLIPS = ("fliplr", "flipud")

_Rule = Callable[[ArgumentSpace], str | None]


def ineffective(space: ArgumentSpace) -> Iterator[Fault]:
    """Yield searched arguments without effect, and fixed ones that differ from their default.

    A fixed argument at its default misleads nobody: it may come from a copied ``args.yaml``. One without effect only
    because the training is short is a note (:func:`fixed_notes`): ``train.epochs=1`` is how users try an experiment.
    """
    for rule, name, why in _found(space):
        if name in space.searched:
            yield Fault(key=f"search.parameters.{name}", message=why)
        elif _misleads(space, name) and rule not in (_single_epoch, _closed):
            yield Fault(key=f"train.{name}", message=why)


def fixed_notes(space: ArgumentSpace) -> Iterator[str]:
    """Yield a sentence for each fixed argument that has no effect because the training is short."""
    for rule, name, why in _found(space):
        if rule in (_single_epoch, _closed) and name not in space.searched and _misleads(space, name):
            yield f"train.{name} {why}"


def closing_notes(space: ArgumentSpace) -> Iterator[str]:
    """Yield a sentence where a short ``train.patience`` may end a trial before mosaic is switched off."""
    patience, epochs, closing = space.fixed.get("patience"), space.epochs, max(space.numbers("close_mosaic"), default=0)
    if not (isinstance(patience, int) and isinstance(epochs, int)) or _nothing_to_close(space) is not None:
        return
    if acts_in("close_mosaic", space.task) and 0 < patience < min(closing, epochs - closing):
        yield (
            f"train.patience={patience} may end a trial before close_mosaic={closing:g} switches mosaic off, at epoch "
            f"{int(epochs - closing)} of the planned {epochs}: such a trial is never trained without it"
        )


def ineffective_on_data(space: ArgumentSpace, data: DataTraits) -> Iterator[Fault]:
    """Yield arguments that have no effect on these data."""
    pose, color = space.task == "pose", data.channels == 3 or space.task == "classify"
    boxes = not data.polygons and TASKS[space.task].polygons == "optional"
    flips = (
        f", e.g. flip_idx: {list(range(data.kpt_shape[0]))} if no keypoint has a left and a right"
        if data.kpt_shape
        else ""
    )
    rules = (
        # data/augment.py CopyPaste
        (boxes, ("copy_paste",), "it cuts out polygons, and the labels of train are boxes; remove it"),
        # data/augment.py v8_transforms
        (pose and not data.flip_idx, FLIPS, f"data.yaml has no flip_idx, without which Ultralytics flips no image; "
         f"add it there{flips}, or remove this"),
        # utils/loss.py v8PoseLoss: the loss needs a third value of the predicted keypoints.
        (pose and list(data.kpt_shape[1:]) == [2], ("kobj",), "kpt_shape has no visibility; remove it"),
        # data/augment.py RandomHSV, Format._format_img
        (not color, (*_HSV, "bgr"), f"it needs images of 3 channels, and data.yaml has channels: {data.channels}; "
         "remove it"),
        # data/augment.py Albumentations.__call__
        (not color and data.channels != 1, ("augmentations",), "it needs images of 1 or 3 channels, and data.yaml has "
         f"channels: {data.channels}; remove it"),
    )  # fmt: skip
    for applies, names, why in rules:
        for name in names if applies else ():
            if name in space.searched or _misleads(space, name):
                yield Fault(key=space.key(name), message=f"has no effect: {why}")


def _misleads(space: ArgumentSpace, name: str) -> bool:
    return name in space.fixed and space.fixed[name] != space.defaults.get(name)


def _found(space: ArgumentSpace) -> Iterator[tuple[_Rule, str, str]]:
    """Yield rule, argument and reason of everything without effect."""
    for names, rule in _RULES:
        why = rule(space)
        if why is not None:
            for name in names:
                yield rule, name, f"has no effect {why}".replace(" :", ":", 1)


def _auto(space: ArgumentSpace) -> str | None:
    # engine/trainer.py build_optimizer: "auto" replaces lr0 and sets warmup_bias_lr to 0.
    if "auto" not in [str(value).lower() for value in space.values("optimizer")]:
        return None
    if "optimizer" in space.searched:
        return "in the trials with optimizer auto; take auto out of search.parameters.optimizer"
    return "with train.optimizer=auto; set train.optimizer, e.g. AdamW"


def _adam(space: ArgumentSpace) -> str | None:
    # engine/trainer.py _do_train: warmup writes "momentum" of the parameter groups, and Adam's groups have "betas".
    chosen = [str(value) for value in space.values("optimizer")]
    if all(name.lower() in _ADAM for name in chosen):
        return f"with optimizer {' or '.join(chosen)} (it warms up the momentum of SGD, MuSGD and RMSProp); remove it"
    return None


def _no_warmup(space: ArgumentSpace) -> str | None:
    return "with warmup_epochs=0; remove it, or set train.warmup_epochs" if space.always("warmup_epochs", 0) else None


def _single_epoch(space: ArgumentSpace) -> str | None:
    # engine/trainer.py: warmup leaves the last epoch out, and the schedule starts at its full learning rate.
    return "with train.epochs=1; train longer, or remove it" if space.fixed.get("epochs") == 1 else None


def _flat_schedule(space: ArgumentSpace) -> str | None:
    return "with lrf=1 (the learning rate stays the same); set train.lrf below 1" if space.always("lrf", 1) else None


def _closed(space: ArgumentSpace) -> str | None:
    # data/dataset.py close_mosaic: mosaic, mixup, cutmix and copy_paste are 0 in the last close_mosaic epochs.
    epochs, closing = space.epochs, space.values("close_mosaic")
    whole = [value for value in closing if isinstance(value, (int, float))]
    if not (
        acts_in("close_mosaic", space.task) and isinstance(epochs, int) and epochs > 0 and len(whole) == len(closing)
    ):
        return None
    if min(whole) < epochs:
        return None
    fix = "set train.close_mosaic: 0 or train longer"
    return f": the last close_mosaic={min(whole)} of {epochs} epochs switch it off; {fix}"


def _rect(space: ArgumentSpace) -> str | None:
    # data/dataset.py build_transforms: rectangular batches switch the mixing augmentations off.
    if not acts_in("rect", space.task) or not space.always("rect", True):
        return None
    return "with train.rect=True, which switches it off; set train.rect: false"


def _fixed_order(space: ArgumentSpace) -> str | None:
    # data/base.py set_rectangle: every image has its batch, whose shape it is brought to.
    if not acts_in("rect", space.task) or not space.always("rect", True):
        return None
    return "with train.rect=True, which fixes what is in each batch; set train.rect: false"


def _nothing_to_close(space: ArgumentSpace) -> str | None:
    if _rect(space) is None and not all(space.always(name, 0) for name in MIXES):
        return None
    return "while mosaic, mixup, cutmix and copy_paste are off; remove it" if space.always("copy_paste", 0) else None


def _no_copy_paste(space: ArgumentSpace) -> str | None:
    # data/augment.py CopyPaste.__call__
    return "with copy_paste=0; set train.copy_paste, e.g. 0.3" if space.always("copy_paste", 0) else None


def _no_teacher(space: ArgumentSpace) -> str | None:
    # engine/trainer.py _setup_train: only a DistillationModel reads it.
    return "without train.distill_model; name a teacher, or remove it" if space.always("distill_model", None) else None


def _policy(space: ArgumentSpace) -> str | None:
    # data/augment.py classify_augmentations: an automatic policy replaces colour jitter.
    policies = space.values("auto_augment")
    named = all(isinstance(policy, str) and policy.isalpha() for policy in policies)
    if not (named and acts_in("auto_augment", space.task)):
        return None
    return "while train.auto_augment is on; set train.auto_augment: null"


def _older_pose(space: ArgumentSpace) -> str | None:
    # nn/tasks.py: only the head of YOLO26 (Pose26) has the likelihood loss.
    older = re.match(r"yolo(v8|11|12)[nslmx]", PurePosixPath(space.model).name.lower())
    if not acts_in("rle", space.task) or not older:
        return None
    return f"on {space.model}: only YOLO26 pose models have that loss; remove it"


def _from_scratch(space: ArgumentSpace) -> str | None:
    # engine/trainer.py setup_model: a YAML brings no weights, so there is nothing to leave out.
    starts = space.searched.get("pretrained", ("",))
    if "model" in space.searched or PurePosixPath(space.model).suffix == ".pt" or any(map(_is_file, starts)):
        return None
    return f"on {space.model}, which starts from scratch either way; name weights (.pt) here, or as the model"


def _is_file(value: object) -> bool:
    return isinstance(value, str)


_RULES: tuple[tuple[tuple[str, ...], _Rule], ...] = (
    (("lr0", "warmup_bias_lr"), _auto),
    (("warmup_momentum",), _adam),
    (("warmup_momentum", "warmup_bias_lr"), _no_warmup),
    (("warmup_epochs", "warmup_momentum", "warmup_bias_lr", "lrf", "cos_lr"), _single_epoch),
    (("cos_lr",), _flat_schedule),
    (_CLOSED, _closed),
    (MIXES, _rect),
    (("balance",), _fixed_order),
    (("close_mosaic",), _nothing_to_close),
    (("copy_paste_mode",), _no_copy_paste),
    (("dis",), _no_teacher),
    (_HSV, _policy),
    (("rle",), _older_pose),
    (("pretrained",), _from_scratch),
)
