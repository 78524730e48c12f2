"""Rules across fields of an experiment: arguments without effect, contradictions, runs that cannot be repeated.

Each rule is a pure function that yields faults (nothing may start); ``notes`` are told and recorded, nothing more.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator

from yolosweep.errors import Fault
from yolosweep.experiment.addresses import address_fault, is_address
from yolosweep.experiment.arguments import ALIASES, NOT_TRAINING, OWNED, SCORING, TASKS_OF, defaults, how_not_what
from yolosweep.experiment.choices import PRUNERS, SEARCHERS
from yolosweep.experiment.class_balance import balance_faults
from yolosweep.experiment.ineffective_arguments import always, dead_fixed, dead_knobs, dead_on_boxes, possible_values
from yolosweep.experiment.rank_rules import rank_faults
from yolosweep.experiment.schema import SAMPLES, Experiment

__all__ = ["lint", "lint_names", "lint_with_data", "metrics_of", "nearest_name", "notes"]

OPTIMIZERS = ("SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto")
TOY_ARGUMENTS = ("epochs", "batch", "lr0", "weight_decay", "patience", "plots")
_WORDS = {
    "copy_paste_mode": ("flip", "mixup"),
    "auto_augment": ("randaugment", "autoaugment", "augmix"),
}
"""Arguments that take one of a few words, which Ultralytics checks only while it trains."""
_GRID_LIMIT = 1000
"""More points than this on one axis of a grid are a slip of the pen."""
_METRICS = {
    "detect": ("B",),
    "segment": ("B", "M"),
    "pose": ("B", "P"),
    "obb": ("B",),
}


def nearest_name(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name closest to a mistyped one, if one is close (``cutoff``: 1 is equal, 0 anything)."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def metrics_of(task: str) -> list[str]:
    """Return the names of the metrics Ultralytics reports for a task."""
    if task == "classify":
        return ["metrics/accuracy_top1", "metrics/accuracy_top5"]
    kinds = ("precision", "recall", "mAP50", "mAP50-95")
    return [f"metrics/{kind}({suffix})" for suffix in _METRICS[task] for kind in kinds]


def lint(exp: Experiment) -> list[Fault]:
    """Return every fault that can be seen without data, ordered by key."""
    rules = (
        lint_names,
        _places,
        _clashes,
        _task,
        _words,
        _schedule,
        _search,
        _augmentations,
        balance_faults,
        _toy,
        rank_faults,
        dead_knobs,
    )
    faults: dict[tuple[str, str], Fault] = {}
    for fault in (fault for rule in rules for fault in rule(exp)):
        faults.setdefault((fault.key, fault.message[:13]), fault)  # one "has no effect" per key says enough
    return sorted(faults.values(), key=lambda fault: fault.key)


def lint_names(exp: Experiment) -> Iterator[Fault]:
    """Yield searched and fixed arguments that are not train arguments, or are not set there."""
    known = defaults()
    for section, names in (("train", exp.train), ("search.parameters", exp.search.parameters)):
        for name in names:
            key = f"{section}.{name}"
            if name in OWNED:
                yield Fault(key=key, message=f"is not set here; {OWNED[name]}")
            elif name in NOT_TRAINING:
                yield Fault(key=key, message="has no effect on a training (it belongs to predict or export); remove it")
            elif name not in known:
                guess = ALIASES.get(name) or nearest_name(name, known)
                hint = f"did you mean {section}.{guess}?" if guess else "see the Ultralytics train settings"
                yield Fault(key=key, message=f"is not an Ultralytics train argument; {hint}")
            elif section != "train" and how_not_what(name):
                yield Fault(key=key, message=f"changes how a trial runs, not its result; set train.{name} instead")


def _places(exp: Experiment) -> Iterator[Fault]:
    if exp.data.startswith("sample:") and exp.data not in SAMPLES:
        yield Fault(key="data", message=f"there is no {exp.data!r}; the built-in sample is {', '.join(SAMPLES)}")
    if is_address(exp.data) and (fault := address_fault(exp.data, holds="data")) is not None:
        yield Fault(key="data", message=fault)
    if is_address(exp.storage) and (fault := address_fault(exp.storage)) is not None:
        yield Fault(key="storage", message=fault)


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


def _words(exp: Experiment) -> Iterator[Fault]:
    for name, words in {"optimizer": OPTIMIZERS, **_WORDS}.items():
        key = f"search.parameters.{name}" if name in exp.search.parameters else f"train.{name}"
        allowed = {word.lower() if name == "optimizer" else word for word in words}
        for value in possible_values(exp, name):
            text = str(value).lower() if name == "optimizer" else value
            if text in allowed or (name == "auto_augment" and not value) or exp.is_toy:
                continue
            guess = nearest_name(str(value), words)
            hint = f"did you mean {guess}?" if guess else f"one of {', '.join(words)}"
            article = "an" if name[0] in "ao" else "a"
            yield Fault(key=key, message=f"{value!r} is not {article} {name} that Ultralytics has; {hint}")


def _schedule(exp: Experiment) -> Iterator[Fault]:
    epochs = exp.train.get("epochs", defaults().get("epochs"))
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        yield Fault(key="train.epochs", message=f"{epochs!r} must be a whole number from 1 up; e.g. epochs: 50")
        return
    if (
        PRUNERS[exp.search.pruner].has_rungs
        and exp.search.grace_epochs is not None
        and exp.search.grace_epochs >= epochs
    ):
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
                message=f"{batch!r} must be a whole number from 1 up: AutoBatch (-1 or a fraction) depends on what "
                "else runs on the GPU, so trials would not be comparable",
            )
            return


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
    epochs = exp.train.get("epochs", defaults().get("epochs"))
    if search.epoch_budget is not None and isinstance(epochs, int) and search.epoch_budget < epochs:
        message = f"{search.epoch_budget} does not hold one trial of train.epochs={epochs}; raise it or train shorter"
        yield Fault(key="search.epoch_budget", message=message)
    if SEARCHERS[search.searcher].is_exhaustive:
        for name, parameter in search.parameters.items():
            size = parameter.size()
            if size is None or size > _GRID_LIMIT:
                what = "a range has no end of" if size is None else f"a range of {size}"
                message = f"{what} grid points; give values, or distribution: q_uniform with q"
                yield Fault(key=f"search.parameters.{name}", message=message)


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


def lint_with_data(exp: Experiment, train_images: int, *, polygons: bool = True) -> list[Fault]:
    """Return the faults that depend on the size of the training split, and on whether any label is a polygon.

    ``nbs`` (nominal batch size) makes Ultralytics hold gradients over round(nbs / batch) batches. Where that is more
    than an epoch has, the weights change less than once per epoch, and next to nothing is learned.
    """
    if exp.is_toy:
        return []
    on_boxes = [] if polygons or exp.task != "detect" else dead_on_boxes(exp)
    return [*_held_gradients(exp, train_images), *_auto_is_adam(exp, train_images), *on_boxes]


def _numbers(exp: Experiment, name: str) -> list[float]:
    return [value for value in possible_values(exp, name) if isinstance(value, (int, float))]


def _held_gradients(exp: Experiment, train_images: int) -> Iterator[Fault]:
    nominal = max(_numbers(exp, "nbs"), default=64)
    key = "search.parameters.nbs" if "nbs" in exp.search.parameters else "train.nbs"
    for batch in sorted(_numbers(exp, "batch")):
        held, batches = round(nominal / batch), math.ceil(train_images / batch)
        if held > batches:
            fitting = int(min(batch, train_images))
            yield Fault(
                key=key,
                message=f"{nominal:g} holds the gradients of {held} batches of {batch:g}, but the {train_images} "
                f"training images make only {batches}: the weights would change less than once per epoch; "
                f"set train.nbs: {fitting}",
            )
            return


def _auto_is_adam(exp: Experiment, train_images: int) -> Iterator[Fault]:
    # engine/trainer.py build_optimizer: up to 10000 iterations "auto" is AdamW with its own momentum, without warmup.
    epochs = exp.train.get("epochs", defaults().get("epochs", 100))
    batch, nominal = min(_numbers(exp, "batch"), default=16), min(_numbers(exp, "nbs"), default=64)
    if not always(exp, "optimizer", "auto") or math.ceil(train_images / max(batch, nominal)) * epochs > 10_000:
        return
    for name in ("momentum", "warmup_momentum"):
        if name in exp.search.parameters:
            yield Fault(
                key=f"search.parameters.{name}",
                message=f"has no effect: with {train_images} images and {epochs} epochs train.optimizer=auto is AdamW "
                "with a momentum of its own; set train.optimizer, e.g. SGD",
            )


def notes(exp: Experiment) -> list[str]:
    """Return what is legal but may surprise, one sentence each."""
    told = []
    if not PRUNERS[exp.search.pruner].has_rungs and exp.search.grace_epochs is not None:
        told.append(f"search.grace_epochs has no effect with search.pruner: {exp.search.pruner}")
    told += dead_fixed(exp)
    for name, parameter in exp.search.parameters.items():
        default = defaults().get(name)
        if parameter.kind == "int" and isinstance(default, float) and parameter.distribution is None:
            low, high = parameter.corners()
            told.append(
                f"search.parameters.{name}: min {low} and max {high} are whole numbers, so only whole numbers are "
                f"tried; write {float(low)} and {float(high)} for the range between"
            )
        if name in SCORING:
            told.append(f"search.parameters.{name} changes how a validation counts, not what is learned")
        if name == "copy_paste" and exp.task == "detect":
            told.append(f"search.parameters.{name} acts only where the labels are polygons: boxes cannot be cut out")
    epochs = exp.train.get("epochs", defaults().get("epochs", 100))
    warmup = max((w for w in possible_values(exp, "warmup_epochs") if isinstance(w, (int, float))), default=0)
    if not exp.is_toy and isinstance(epochs, int) and warmup >= math.ceil(epochs / 2) and epochs > 1:
        way_out = f"set train.warmup_epochs: {int(epochs > 2)}"
        told.append(f"warmup_epochs={warmup:g} takes half or more of {epochs} epochs; {way_out}")
    return told
