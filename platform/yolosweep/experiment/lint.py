"""Rules across fields of an experiment: arguments without effect, contradictions, runs that cannot be repeated.

Each rule is a pure function that yields faults (nothing may start); ``notes`` are told and recorded, nothing more.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from typing import Any

from yolosweep.errors import Fault
from yolosweep.experiment.arguments import NOT_TRAINING, OWNED, TASKS_OF, defaults, how_not_what
from yolosweep.experiment.schema import Experiment

__all__ = ["lint", "lint_with_data", "nearest_name", "notes"]

OPTIMIZERS = ("SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto")
TOY_ARGUMENTS = ("epochs", "batch", "lr0", "weight_decay", "patience", "plots")
_CLOSED_WITH_MOSAIC = ("mosaic", "mixup", "cutmix", "copy_paste")
_METRICS = {
    "detect": ("B",),
    "segment": ("B", "M"),
    "pose": ("B", "P"),
    "obb": ("B",),
}


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to a mistyped one, if one is close."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def metrics_of(task: str) -> list[str]:
    """Return the names of the metrics Ultralytics reports for a task."""
    if task == "classify":
        return ["metrics/accuracy_top1", "metrics/accuracy_top5"]
    kinds = ("precision", "recall", "mAP50", "mAP50-95")
    return [f"metrics/{kind}({suffix})" for suffix in _METRICS[task] for kind in kinds]


def possible_values(exp: Experiment, name: str) -> list[Any]:
    """Return the extreme values an argument takes in this experiment: searched corners, fixed value or default."""
    if name in exp.search.parameters:
        return exp.search.parameters[name].corners()
    return [exp.train.get(name, defaults().get(name))]


def lint(exp: Experiment) -> list[Fault]:
    """Return every fault that can be seen without data, ordered by key."""
    rules = (_names, _clashes, _task, _optimizer, _schedule, _search, _augmentations, _toy)
    return sorted((fault for rule in rules for fault in rule(exp)), key=lambda fault: fault.key)


def _names(exp: Experiment) -> Iterator[Fault]:
    known = {"augmentations": None, **defaults()}
    for section, names in (("train", exp.train), ("search.parameters", exp.search.parameters)):
        for name in names:
            key = f"{section}.{name}"
            if name in OWNED:
                yield Fault(key=key, message=f"is not set here; {OWNED[name]}")
            elif name in NOT_TRAINING:
                yield Fault(key=key, message="has no effect on a training (it belongs to predict or export); remove it")
            elif name not in known:
                guess = nearest_name(name, known)
                hint = f"did you mean {section}.{guess}?" if guess else "see the Ultralytics train settings"
                yield Fault(key=key, message=f"is not an Ultralytics train argument; {hint}")
            elif section != "train" and how_not_what(name):
                yield Fault(key=key, message=f"changes how a trial runs, not its result; set train.{name} instead")


def _clashes(exp: Experiment) -> Iterator[Fault]:
    for name in exp.search.parameters:
        if name in exp.train:
            yield Fault(
                key=f"search.parameters.{name}",
                message=f"is also fixed as train.{name}={exp.train[name]}; remove one of the two",
            )
        if name in ("epochs", "patience"):
            yield Fault(
                key=f"search.parameters.{name}",
                message=f"trials of different length cannot be ranked fairly; set train.{name}",
            )


def _task(exp: Experiment) -> Iterator[Fault]:
    searched = {f"search.parameters.{name}": name for name in exp.search.parameters}
    for key, name in {**{f"train.{name}": name for name in exp.train}, **searched}.items():
        tasks = TASKS_OF.get(name)
        if tasks is not None and exp.task not in tasks and not exp.is_toy:
            where = f"it acts in {', '.join(tasks)} only" if tasks else "it belongs to another task"
            yield Fault(key=key, message=f"has no effect with task={exp.task}: {where}; remove it")
    if exp.task == "classify" and possible_values(exp, "auto_augment") != [None]:
        for name in ("hsv_h", "hsv_s", "hsv_v"):
            if name in exp.search.parameters:
                yield Fault(
                    key=f"search.parameters.{name}",
                    message="has no effect while train.auto_augment is on; set train.auto_augment: null",
                )


def _optimizer(exp: Experiment) -> Iterator[Fault]:
    chosen = [str(value) for value in possible_values(exp, "optimizer")]
    key = "search.parameters.optimizer" if "optimizer" in exp.search.parameters else "train.optimizer"
    by_lower = {name.lower(): name for name in OPTIMIZERS}
    for name in chosen:
        if name.lower() not in by_lower:
            guess = nearest_name(name, OPTIMIZERS)
            hint = f"did you mean {guess}?" if guess else f"one of {', '.join(OPTIMIZERS)}"
            yield Fault(key=key, message=f"{name!r} is not an optimizer Ultralytics knows; {hint}")
    if any(name.lower() == "auto" for name in chosen) and not exp.is_toy:
        for name in ("lr0", "momentum", "warmup_bias_lr"):
            if name in exp.search.parameters:
                yield Fault(
                    key=f"search.parameters.{name}",
                    message="has no effect with train.optimizer=auto; set train.optimizer, e.g. AdamW",
                )
    adam = ("adam", "adamax", "adamw", "nadam", "radam")
    if all(name.lower() in adam for name in chosen) and "warmup_momentum" in exp.search.parameters:
        yield Fault(
            key="search.parameters.warmup_momentum",
            message=f"has no effect with optimizer {chosen[0]} (it warms up SGD's momentum); remove it",
        )
    if possible_values(exp, "warmup_epochs") == [0]:
        for name in ("warmup_momentum", "warmup_bias_lr"):
            if name in exp.search.parameters:
                yield Fault(key=f"search.parameters.{name}", message="has no effect with warmup_epochs=0; remove it")


def _schedule(exp: Experiment) -> Iterator[Fault]:
    epochs = exp.train.get("epochs", defaults().get("epochs"))
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        yield Fault(key="train.epochs", message=f"{epochs!r} must be a whole number from 1 up; e.g. epochs: 50")
        return
    close = exp.train.get("close_mosaic", defaults().get("close_mosaic") if not exp.is_toy else 0)
    for name in _CLOSED_WITH_MOSAIC:
        if name in exp.search.parameters and isinstance(close, int) and close >= epochs:
            yield Fault(
                key=f"search.parameters.{name}",
                message=f"has no effect: the last close_mosaic={close} of {epochs} epochs switch it off; "
                "set train.close_mosaic: 0 or train longer",
            )
    if exp.search.pruner == "asha" and exp.search.grace_epochs is not None and exp.search.grace_epochs >= epochs:
        yield Fault(
            key="search.grace_epochs",
            message=f"{exp.search.grace_epochs} must be below train.epochs={epochs}, or nothing is ever pruned; "
            "lower it or set search.pruner: none",
        )
    key = "search.parameters.batch" if "batch" in exp.search.parameters else "train.batch"
    for batch in possible_values(exp, "batch"):
        whole = isinstance(batch, (int, float)) and not isinstance(batch, bool) and float(batch).is_integer()
        if not whole or batch < 1:
            yield Fault(
                key=key,
                message=f"{batch!r} must be a whole number from 1 up: AutoBatch (-1 or a fraction) depends on what else "
                "runs on the GPU, so trials would not be comparable",
            )


def _search(exp: Experiment) -> Iterator[Fault]:
    search = exp.search
    if search.metric is not None and not exp.is_toy:
        known = metrics_of(exp.task)
        loss = search.metric.startswith("val/") and search.metric.endswith("loss")
        if loss and search.mode == "max":
            yield Fault(key="search.mode", message=f"{search.metric} is a loss: less is better; set search.mode: min")
        elif not loss and search.metric not in known:
            guess = nearest_name(search.metric, known) or known[-1]
            yield Fault(
                key="search.metric",
                message=f"{search.metric!r} is not reported for task={exp.task}; did you mean {guess}?",
            )
        elif not loss and search.mode == "min":
            yield Fault(key="search.mode", message=f"more of {search.metric} is better; set search.mode: max")
    if search.searcher == "grid":
        for name, parameter in search.parameters.items():
            if parameter.grid() is None:
                yield Fault(
                    key=f"search.parameters.{name}",
                    message="a range has no end of grid points; give values, or distribution: q_uniform with q",
                )
    if search.pruner == "none" and search.grace_epochs is not None:
        yield Fault(key="search.grace_epochs", message="has no effect with search.pruner: none; remove one of the two")


def _augmentations(exp: Experiment) -> Iterator[Fault]:
    known = {"none", "default", *exp.augmentations}
    for name in {"none", "default"} & set(exp.augmentations):
        yield Fault(key=f"augmentations.{name}", message="is built in; choose another name")
    places = [("train.augmentations", [exp.train["augmentations"]])] if "augmentations" in exp.train else []
    if "augmentations" in exp.search.parameters:
        places.append(("search.parameters.augmentations", exp.search.parameters["augmentations"].corners()))
    for key, names in places:
        for name in names:
            if name not in known:
                guess = nearest_name(str(name), known)
                hint = f"did you mean {guess}?" if guess else "define it under augmentations:"
                yield Fault(key=key, message=f"{name!r} is not a pipeline defined under augmentations:; {hint}")
    for name, steps in exp.augmentations.items():
        for index, step in enumerate(steps):
            if len(step) != 1:
                yield Fault(
                    key=f"augmentations.{name}[{index}]",
                    message=f"must name one transform, e.g. {{Blur: {{p: 0.3}}}}, not {len(step)}",
                )


def _toy(exp: Experiment) -> Iterator[Fault]:
    if not exp.is_toy:
        return
    for section, names in (("train", exp.train), ("search.parameters", exp.search.parameters)):
        for name in names:
            if name not in TOY_ARGUMENTS and name in defaults():
                yield Fault(
                    key=f"{section}.{name}",
                    message=f"has no effect on {exp.model}; it knows {', '.join(TOY_ARGUMENTS)}",
                )


def lint_with_data(exp: Experiment, train_images: int) -> list[Fault]:
    """Return the faults that depend on the size of the training split.

    ``nbs`` (nominal batch size) makes Ultralytics hold gradients over round(nbs / batch) batches. Above the size of the
    data set the optimizer then steps less than once per epoch, and nothing is learned.
    """
    if exp.is_toy:
        return []
    batch = max(b for b in possible_values(exp, "batch") if isinstance(b, (int, float)))
    smallest = min(b for b in possible_values(exp, "batch") if isinstance(b, (int, float)))
    nbs = max((n for n in possible_values(exp, "nbs") if isinstance(n, (int, float))), default=64)
    if nbs > train_images and round(nbs / smallest) > 1:
        return [
            Fault(
                key="train.nbs",
                message=f"{nbs} is above the {train_images} training images: gradients would be held for "
                f"{round(nbs / smallest)} batches and the weights change less than once per epoch; "
                f"set train.nbs: {int(min(batch, train_images))}",
            )
        ]
    return []


def notes(exp: Experiment) -> list[str]:
    """Return what is legal but may surprise, one sentence each."""
    told = []
    for name, parameter in exp.search.parameters.items():
        default = defaults().get(name)
        if parameter.kind == "int" and isinstance(default, float) and parameter.distribution is None:
            low, high = parameter.corners()
            told.append(
                f"search.parameters.{name}: min {low} and max {high} are whole numbers, so only whole numbers are tried; "
                f"write {float(low)} and {float(high)} for the range between"
            )
    epochs = exp.train.get("epochs", defaults().get("epochs", 100))
    warmup = max((w for w in possible_values(exp, "warmup_epochs") if isinstance(w, (int, float))), default=0)
    if not exp.is_toy and isinstance(epochs, int) and warmup >= math.ceil(epochs / 2) and epochs > 1:
        told.append(f"warmup_epochs={warmup:g} takes half or more of {epochs} epochs; set train.warmup_epochs: 1")
    return told
