"""Rules across the fields of an experiment: unknown arguments, contradictions, runs that cannot be repeated.

Each rule is a pure function that yields faults, and with any fault nothing starts. Notes are shown and recorded only.
The rules of a model family are the backend's own (:meth:`yolosweep.backends.Backend.faults`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from yolosweep.backends import BACKENDS
from yolosweep.backends.arguments import DataTraits, nearest_name
from yolosweep.errors import Fault
from yolosweep.experiment.multi_objective_rules import objective_faults
from yolosweep.experiment.multi_process_rules import rank_faults
from yolosweep.experiment.schema import MODEL, SAMPLES, Experiment, Search
from yolosweep.experiment.search_choices import PRUNERS, SEARCHERS, Choice
from yolosweep.experiment.space_rules import condition_faults, constraint_faults, model_faults
from yolosweep.experiment.trial_settings import TRIALS, is_open_batch
from yolosweep.records.footprint import FOOTPRINTS
from yolosweep.storage.addresses import address_fault, is_address

__all__ = ["lint", "lint_names", "lint_with_data", "notes"]

_REDUCTION = Search.model_fields["reduction_factor"].default
_SEARCHED = 2
"""Trials that finals must leave to the search: trial 0, and one to compare with it."""
_GRID_LIMIT = 1000
"""More values than this on one axis of a grid are a mistake."""


def lint(exp: Experiment) -> list[Fault]:
    """Return every fault that shows without the data, ordered by key."""
    rules = (
        *(lint_names, _places, _clashes, _task, _schedule, _search, _augmentations, rank_faults, _backend),
        *(condition_faults, constraint_faults, model_faults, objective_faults),
    )
    faults: dict[tuple[str, str], Fault] = {}
    for fault in (fault for rule in rules for fault in rule(exp)):
        faults.setdefault((fault.key, fault.message[:13]), fault)  # one "has no effect" per key is enough
    return sorted(faults.values(), key=lambda fault: fault.key)


def lint_names(exp: Experiment) -> Iterator[Fault]:
    """Yield arguments, searched or fixed, that the backend does not have or that are not set there."""
    arguments = exp.backend.arguments
    for section, names in (("train", exp.train), ("search.parameters", exp.search.parameters)):
        for name in names:
            if name == MODEL and section != "train":
                continue
            if name in arguments.owned:
                message = f"is not set here; {arguments.owned[name]}"
            elif name in arguments.not_training:
                message = "has no effect on a training (it belongs to predict or export); remove it"
            elif name not in arguments.defaults:
                message = _unknown(exp, section, name)
            elif section != "train" and name in arguments.runtime_only:
                message = f"changes how a trial runs, not its result; set train.{name} instead"
            else:
                continue
            yield Fault(key=f"{section}.{name}", message=message)


def _unknown(exp: Experiment, section: str, name: str) -> str:
    arguments = exp.backend.arguments
    if any(name in backend.arguments.defaults for backend in BACKENDS):
        return f"has no effect on {exp.model}, which has {', '.join(arguments.defaults)}; remove it"
    guess = arguments.aliases.get(name) or nearest_name(name, arguments.defaults)
    hint = f"did you mean {section}.{guess}?" if guess else f"see the train settings of {exp.backend.name}"
    return f"is not a train argument of {exp.backend.name}; {hint}"


def _places(exp: Experiment) -> Iterator[Fault]:
    if exp.data.startswith("sample:") and exp.data not in SAMPLES:
        yield Fault(key="data", message=f"there is no {exp.data!r}; the built-in sample is {', '.join(SAMPLES)}")
    if is_address(exp.data) and (fault := address_fault(exp.data, holds="data")) is not None:
        yield Fault(key="data", message=fault)
    for place, run in enumerate(exp.search.warm_start):
        if is_address(run) and (fault := address_fault(run)) is not None:
            yield Fault(key=f"search.warm_start[{place}]", message=fault)
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
    if exp.task not in exp.backend.tasks:
        known = ", ".join(exp.backend.tasks)
        yield Fault(key="task", message=f"{exp.task} is not a task of {exp.model}; set one of {known}")


def _schedule(exp: Experiment) -> Iterator[Fault]:
    epochs = exp.space.epochs
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        yield Fault(key="train.epochs", message=f"{epochs!r} must be a whole number from 1 up; e.g. epochs: 50")
        return
    if (
        PRUNERS[exp.search.pruner].has_grace
        and exp.search.grace_epochs is not None
        and exp.search.grace_epochs >= epochs
    ):
        yield Fault(
            key="search.grace_epochs",
            message=f"{exp.search.grace_epochs} must be below train.epochs={epochs}, or nothing is ever pruned; "
            "lower it or set search.pruner: none",
        )
    yield from _batch(exp)


def _batch(exp: Experiment) -> Iterator[Fault]:
    """Yield the first batch that is neither a number of images nor, where it is one value, left open."""
    parameter = exp.search.parameters.get("batch")
    is_range = parameter is not None and parameter.kind in ("int", "float")
    for batch in exp.space.values("batch"):
        whole = isinstance(batch, (int, float)) and not isinstance(batch, bool) and float(batch).is_integer()
        if (whole and batch >= 1) or (is_open_batch(batch) and not is_range):
            continue
        yield Fault(
            key=exp.space.key("batch"),
            message=f"{batch!r} must be a whole number from 1 up, or -1 or a share such as 0.7 for the largest batch "
            f"that fits{' (among values: only)' if is_range else ''}, which is found once before the search",
        )
        return


def _search(exp: Experiment) -> Iterator[Fault]:
    search, epochs = exp.search, exp.space.epochs
    if exp.task in exp.backend.tasks:
        yield from _metric(exp)
    if search.epoch_budget is not None and isinstance(epochs, int) and search.epoch_budget < epochs:
        message = f"{search.epoch_budget} is less than one trial of train.epochs={epochs}; raise it or train shorter"
        yield Fault(key="search.epoch_budget", message=message)
    yield from _finals(exp)
    yield from _options("searcher", SEARCHERS[search.searcher], search.searcher, search.searcher_options)
    yield from _options("pruner", PRUNERS[search.pruner], search.pruner, search.pruner_options)
    if SEARCHERS[search.searcher].is_exhaustive:
        if search.warm_start:
            message = f"has no effect with search.searcher: {search.searcher}, which tries every point; remove it"
            yield Fault(key="search.warm_start", message=message)
        for name, parameter in search.parameters.items():
            size = parameter.size()
            if size is None or size > _GRID_LIMIT:
                what = "a continuous range has infinitely many" if size is None else f"a range of {size} has too many"
                message = f"{what} grid points; give values, or distribution: q_uniform with q"
                yield Fault(key=f"search.parameters.{name}", message=message)


def _finals(exp: Experiment) -> Iterator[Fault]:
    """Yield finals that leave no two trials of the budget to the search."""
    search, epochs = exp.search, exp.space.epochs
    least = search.finals.trainings + _SEARCHED if search.finals and search.finals.top else 0
    trials = TRIALS if search.trials is None and search.is_open else search.trials
    if SEARCHERS[search.searcher].is_exhaustive and search.trials is None:
        trials = None
    if trials is not None and trials < least:
        message = f"{least - _SEARCHED} trainings leave less than {_SEARCHED} of search.trials={trials} to the search; "
        yield Fault(key="search.finals", message=f"{message}raise it to {least} or more, or lower top or seeds")
    if search.epoch_budget is not None and isinstance(epochs, int) and search.epoch_budget < least * epochs:
        message = f"{least - _SEARCHED} trainings of {epochs} epochs do not fit beside {_SEARCHED} searched ones; "
        message += f"raise search.epoch_budget to {least * epochs} or more, or lower top or seeds"
        yield Fault(key="search.finals", message=message)
    if search.trainings is not None and search.trainings < least:
        message = f"{least - _SEARCHED} trainings leave less than {_SEARCHED} of search.budget={search.budget} to the "
        yield Fault(key="search.finals", message=f"{message}search; raise it to {least}x, or lower top or seeds")


def _options(what: str, choice: Choice, name: str, given: Mapping[str, float] | None) -> Iterator[Fault]:
    """Yield options that a searcher or pruner does not have, and values that it cannot use."""
    for key, value in (given or {}).items():
        if key in choice.options:
            message = choice.options[key].fault(value)
        elif choice.options:
            message = f"is not an option of search.{what}: {name}, which has {', '.join(choice.options)}"
        else:
            message = f"is not an option of search.{what}: {name}, which has none; remove it"
        if message is not None:
            yield Fault(key=f"search.{what}_options.{key}", message=message)


def _metric(exp: Experiment) -> Iterator[Fault]:
    metric, mode, known = exp.search.metric, exp.search.mode, exp.backend.tasks[exp.task].metrics
    if metric is None or (exp.search.objectives and metric in FOOTPRINTS):
        return
    where = "search.objectives[0]" if exp.search.objectives else "search"
    loss = metric.startswith("val/") and metric.endswith("loss")
    if loss and mode == "max":
        yield Fault(key=f"{where}.mode", message=f"{metric} is a loss: less is better; set mode: min")
    elif not loss and metric not in known:
        guess = nearest_name(metric, known) or known[-1]
        message = f"{metric!r} is not reported for task={exp.task}; did you mean {guess}?"
        yield Fault(key=f"{where}.metric", message=message)
    elif not loss and mode == "min":
        yield Fault(key=f"{where}.mode", message=f"more of {metric} is better; set mode: max")


def _augmentations(exp: Experiment) -> Iterator[Fault]:
    known = {"none", "default", *exp.augmentations}
    for name in {"none", "default"} & set(exp.augmentations):
        yield Fault(key=f"augmentations.{name}", message="is built in; choose another name")
    for key, argument in exp.space.keys.items():
        for name in exp.space.values("augmentations") if argument == "augmentations" else ():
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


def _backend(exp: Experiment) -> Iterator[Fault]:
    if exp.task in exp.backend.tasks:
        for model in exp.models:
            yield from exp.backend.faults(exp.with_model(model).space)


def lint_with_data(exp: Experiment, data: DataTraits) -> list[Fault]:
    """Return the faults that depend on the data."""
    return list(exp.backend.data_faults(exp.space, data))


def notes(exp: Experiment) -> list[str]:
    """Return what is legal but may surprise, one sentence each."""
    found = []
    if not PRUNERS[exp.search.pruner].has_grace and exp.search.grace_epochs is not None:
        found.append(f"search.grace_epochs has no effect with search.pruner: {exp.search.pruner}")
    if not PRUNERS[exp.search.pruner].has_rungs and exp.search.reduction_factor != _REDUCTION:
        found.append(f"search.reduction_factor has no effect with search.pruner: {exp.search.pruner}")
    arguments = exp.backend.arguments
    if open_batches := [value for value in exp.space.values("batch") if is_open_batch(value)]:
        named, default = " and ".join(map(str, open_batches)), arguments.defaults["batch"]
        found.append(f"{exp.space.key('batch')}={named} is found before the first trial; estimates assume {default}")
    for name, parameter in exp.search.parameters.items():
        if parameter.kind == "int" and isinstance(arguments.defaults.get(name), float) and not parameter.distribution:
            low, high = parameter.corners()
            found.append(
                f"search.parameters.{name}: min {low} and max {high} are whole numbers, so only whole numbers are "
                f"tried; write {float(low)} and {float(high)} for the range between"
            )
        if name in arguments.scoring:
            found.append(f"search.parameters.{name} changes how a validation counts, not what the model learns")
    return [*found, *exp.backend.notes(exp.space)]
