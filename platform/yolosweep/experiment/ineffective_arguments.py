"""Arguments that do nothing because of what the other arguments are set to.

Each rule was read in the sources of Ultralytics 8.4.190, named beside it. A rule speaks only where the argument is dead
in every trial of the search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from yolosweep.errors import Fault
from yolosweep.experiment.arguments import defaults
from yolosweep.experiment.schema import Experiment

__all__ = ["always", "dead_knobs", "possible_values"]

_ADAM = ("adam", "adamax", "adamw", "nadam", "radam")
_MIXES = ("mosaic", "mixup", "cutmix")
_CLOSED = (*_MIXES, "copy_paste")


def possible_values(exp: Experiment, name: str) -> list[Any]:
    """Return the extreme values an argument takes in this experiment: searched corners, fixed value or default."""
    if name in exp.search.parameters:
        return exp.search.parameters[name].corners()
    return [exp.train.get(name, defaults().get(name))]


def always(exp: Experiment, name: str, *values: Any) -> bool:
    """Tell whether an argument takes nothing but these values."""
    return all(value in values for value in possible_values(exp, name))


def dead_knobs(exp: Experiment) -> Iterator[Fault]:
    """Yield searched arguments without effect, and fixed ones where they differ from their default.

    A fixed argument at its default misleads nobody: it may come from a copied ``args.yaml``. One that is dead because
    the training is short is a note (:func:`dead_fixed`): ``train.epochs=1`` is how people try an experiment out.
    """
    for rule, name, why in _dead(exp):
        if name in exp.search.parameters:
            yield Fault(key=f"search.parameters.{name}", message=why)
        elif _misleads(exp, name) and rule not in (_single_epoch, _closed):
            yield Fault(key=f"train.{name}", message=why)


def dead_fixed(exp: Experiment) -> list[str]:
    """Return a sentence for each fixed argument that has no effect because the training is short."""
    return [
        f"train.{name} {why}"
        for rule, name, why in _dead(exp)
        if rule in (_single_epoch, _closed) and name not in exp.search.parameters and _misleads(exp, name)
    ]


def dead_on_boxes(exp: Experiment) -> Iterator[Fault]:
    """Yield arguments that need polygons, of which the labels hold none (data/augment.py CopyPaste)."""
    for key, given in (
        ("search.parameters.copy_paste", "copy_paste" in exp.search.parameters),
        ("train.copy_paste", _misleads(exp, "copy_paste")),
    ):
        if given:
            yield Fault(
                key=key, message="has no effect: it cuts out polygons, and the labels of train are boxes; remove it"
            )


def _misleads(exp: Experiment, name: str) -> bool:
    return name in exp.train and exp.train[name] != defaults().get(name)


def _dead(exp: Experiment) -> Iterator[tuple[Callable[[Experiment], str | None], str, str]]:
    """Yield rule, argument and reason of everything without effect."""
    if exp.is_toy:
        return
    for names, rule in _RULES:
        why = rule(exp)
        if why is not None:
            for name in names:
                yield rule, name, f"has no effect {why}".replace(" :", ":", 1)


def _auto(exp: Experiment) -> str | None:
    # engine/trainer.py build_optimizer: "auto" replaces lr0 and sets warmup_bias_lr to 0.
    if "auto" not in [str(value).lower() for value in possible_values(exp, "optimizer")]:
        return None
    if "optimizer" in exp.search.parameters:
        return "in the trials with optimizer auto; take auto out of search.parameters.optimizer"
    return "with train.optimizer=auto; set train.optimizer, e.g. AdamW"


def _adam(exp: Experiment) -> str | None:
    # engine/trainer.py _do_train: warmup writes "momentum" of the parameter groups, and Adam's groups have "betas".
    chosen = [str(value) for value in possible_values(exp, "optimizer")]
    if all(name.lower() in _ADAM for name in chosen):
        return f"with optimizer {' or '.join(chosen)} (it warms up the momentum of SGD, MuSGD and RMSProp); remove it"
    return None


def _no_warmup(exp: Experiment) -> str | None:
    return "with warmup_epochs=0; remove it, or set train.warmup_epochs" if always(exp, "warmup_epochs", 0) else None


def _single_epoch(exp: Experiment) -> str | None:
    # engine/trainer.py: warmup leaves the last epoch out, and the schedule starts at its full learning rate.
    return "with train.epochs=1; train longer, or remove it" if exp.train.get("epochs") == 1 else None


def _flat_schedule(exp: Experiment) -> str | None:
    return "with lrf=1 (the learning rate stays the same); set train.lrf below 1" if always(exp, "lrf", 1) else None


def _closed(exp: Experiment) -> str | None:
    # data/dataset.py close_mosaic: mosaic, mixup, cutmix and copy_paste are 0 in the last close_mosaic epochs.
    epochs, closing = exp.train.get("epochs", defaults().get("epochs")), possible_values(exp, "close_mosaic")
    whole = [value for value in closing if isinstance(value, (int, float))]
    if exp.task == "classify" or not isinstance(epochs, int) or len(whole) < len(closing) or min(whole) < epochs:
        return None
    way_out = "set train.close_mosaic: 0 or train longer"
    return f": the last close_mosaic={min(whole)} of {epochs} epochs switch it off; {way_out}"


def _rect(exp: Experiment) -> str | None:
    # data/dataset.py build_transforms: rectangular batches switch the mixing augmentations off.
    if exp.task == "classify" or not always(exp, "rect", True):
        return None
    return "with train.rect=True, which switches it off; set train.rect: false"


def _fixed_order(exp: Experiment) -> str | None:
    # data/base.py set_rectangle: every image has its batch, whose shape it is brought to.
    if exp.task == "classify" or not always(exp, "rect", True):
        return None
    return "with train.rect=True, which fixes what is in each batch; set train.rect: false"


def _nothing_to_close(exp: Experiment) -> str | None:
    if _rect(exp) is None and not all(always(exp, name, 0) for name in _MIXES):
        return None
    return "while mosaic, mixup, cutmix and copy_paste are off; remove it" if always(exp, "copy_paste", 0) else None


def _no_copy_paste(exp: Experiment) -> str | None:
    # data/augment.py CopyPaste.__call__
    return "with copy_paste=0; set train.copy_paste, e.g. 0.3" if always(exp, "copy_paste", 0) else None


def _no_teacher(exp: Experiment) -> str | None:
    # engine/trainer.py _setup_train: only a DistillationModel reads it.
    return "without train.distill_model; name a teacher, or remove it" if always(exp, "distill_model", None) else None


def _policy(exp: Experiment) -> str | None:
    # data/augment.py classify_augmentations: an automatic policy takes the place of colour jitter.
    policies = possible_values(exp, "auto_augment")
    if exp.task != "classify" or not all(isinstance(policy, str) and policy.isalpha() for policy in policies):
        return None
    return "while train.auto_augment is on; set train.auto_augment: null"


def _older_pose(exp: Experiment) -> str | None:
    # nn/tasks.py: only the head of YOLO26 (Pose26) has the likelihood loss.
    if exp.task != "pose" or not re.match(r"yolo(v8|11|12)[nslmx]", PurePosixPath(exp.model).name.lower()):
        return None
    return f"on {exp.model}: only YOLO26 pose models have that loss; remove it"


_RULES: tuple[tuple[tuple[str, ...], Callable[[Experiment], str | None]], ...] = (
    (("lr0", "warmup_bias_lr"), _auto),
    (("warmup_momentum",), _adam),
    (("warmup_momentum", "warmup_bias_lr"), _no_warmup),
    (("warmup_epochs", "warmup_momentum", "warmup_bias_lr", "lrf", "cos_lr"), _single_epoch),
    (("cos_lr",), _flat_schedule),
    (_CLOSED, _closed),
    (_MIXES, _rect),
    (("balance",), _fixed_order),
    (("close_mosaic",), _nothing_to_close),
    (("copy_paste_mode",), _no_copy_paste),
    (("dis",), _no_teacher),
    (("hsv_h", "hsv_s", "hsv_v"), _policy),
    (("rle",), _older_pose),
)
