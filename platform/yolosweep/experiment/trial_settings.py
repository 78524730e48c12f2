"""From suggested parameters to the complete train arguments of one trial, and its identity."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from yolosweep.backends import backend_for
from yolosweep.experiment.constraints import constraint_of
from yolosweep.experiment.schema import MODEL, Experiment, Finals, Search
from yolosweep.experiment.search_choices import PRUNERS, SEARCHERS
from yolosweep.experiment.search_parameter import active
from yolosweep.records.objectives import rule_of

__all__ = [
    "FINALS_SHARE",
    "TRIALS",
    "allows",
    "baseline",
    "defaults_of",
    "finals_line",
    "grace_epochs",
    "identity",
    "is_open_batch",
    "objectives_line",
    "resolved",
    "settings_of",
    "sizes_of",
]

TRIALS = 20
"""Trials of a search without any budget."""
_COUNTED = 100_000
"""Points of a grid with conditions or constraints that are counted one by one."""
FINALS_SHARE = 5
"""Unless they are asked for, finals take at most one training of so many."""


def resolved(exp: Experiment) -> Experiment:
    """Return the experiment with every default that depends on other fields filled in."""
    search = exp.search
    change: dict[str, Any] = {}
    if search.metric is None:
        change["metric"] = exp.backend.tasks[exp.task].default_metric
    if search.trades_off and "pruner" not in search.model_fields_set:
        search = search.model_copy(update={"pruner": "none"})
    if search.trials is None:
        size = _grid_size(exp) if SEARCHERS[search.searcher].is_exhaustive else None
        if size is not None:
            change["trials"] = size + (search.finals.trainings if search.finals else 0)
        elif search.is_open:
            change["trials"] = TRIALS
    if PRUNERS[search.pruner].has_grace and search.grace_epochs is None:
        change["grace_epochs"] = grace_epochs(epochs_of(exp))
    if search.finals is None and _holds_finals(search.model_copy(update=change), epochs_of(exp)):
        change["finals"] = Finals()
    train = {**exp.backend.arguments.quiet, "epochs": epochs_of(exp), **exp.train}
    return exp.model_copy(update={"search": search.model_copy(update=change), "train": train})


def _holds_finals(search: Search, epochs: int) -> bool:
    """Return whether the default finals leave enough of the budget to the search.

    How many trainings a time budget holds is known when some are complete: then the sweep controller decides.
    """
    least = FINALS_SHARE * Finals().trainings
    few = search.trials is not None and search.trials < least
    short = search.epoch_budget is not None and search.epoch_budget < least * epochs
    short = short or (search.trainings is not None and search.trainings < least)
    return not (few or short or search.select == "knee" or SEARCHERS[search.searcher].is_exhaustive)


def objectives_line(exp: Experiment) -> str | None:
    """Return one line on the objectives of a resolved experiment; None with one."""
    search = exp.search
    if len(search.objectives) < 2:
        return None
    why = ""
    if search.trades_off and search.pruner == "none":
        why = "; no trial is pruned: pruners judge one score, and a front has several"
    listed = ", ".join(one.text for one in search.objectives)
    return f"{listed}; the winner has {rule_of(search.objectives, search.select or 'first')}{why}"


def finals_line(exp: Experiment) -> str:
    """Return one line on the finals of a resolved experiment: what they are, or why there are none."""
    search, finals = exp.search, exp.search.finals
    if finals is not None and finals.top:
        of = f" of the {search.trials}" if search.trials is not None else ""
        return (
            f"the best {finals.top} and trial 0 again with {finals.seeds} new seeds each, "
            f"{finals.trainings}{of} trainings"
        )
    if finals is not None or SEARCHERS[search.searcher].is_exhaustive or search.select == "knee":
        return "none: the winner has one seed"
    default = Finals().trainings
    return (
        f"none, because their {default} trainings would take too much of the budget: the winner has one seed; set "
        f"search.trials to {FINALS_SHARE * default} or more, or search.finals"
    )


def epochs_of(exp: Experiment) -> int:
    """Return the planned epochs of every trial."""
    return int(exp.space.epochs)


def grace_epochs(epochs: int) -> int:
    """Return the default grace period: a tenth of the epochs, at least 3 (curves dip early), below the last one."""
    return max(1, min(epochs - 1, max(3, math.ceil(epochs / 10))))


def _grid_size(exp: Experiment) -> int | None:
    """Return the number of different points; None for an infinite space, or one too large to count with conditions."""
    space = exp.search.parameters
    sizes = [size for p in space.values() if (size := p.size()) is not None]
    count = math.prod(sizes) if len(sizes) == len(space) else None
    if count is None or not (exp.search.constraints or any(p.when for p in space.values())):
        return count
    if count > _COUNTED:
        return None
    grids = itertools.product(*(p.grid() or () for p in space.values()))
    points = (active(space, dict(zip(space, point, strict=True))) for point in grids)
    return len({repr(point) for point in points if allows(exp, point)})


def allows(exp: Experiment, parameters: Mapping[str, Any]) -> bool:
    """Return whether searched parameters satisfy the constraints.

    Raises:
        TypeError: a constraint calculates with a value that is no number.
    """
    if not exp.search.constraints:
        return True
    values = {**exp.backend.arguments.defaults, MODEL: exp.model, **exp.train, **parameters}
    return all(constraint_of(text).holds(values) for text in exp.search.constraints)


def baseline(exp: Experiment) -> tuple[dict[str, Any], list[str]]:
    """Return trial 0's parameters, the defaults, and a note for each default outside the search space.

    Such a default is replaced by the nearest value in the space, so that the search can learn from trial 0 and trial 0
    costs no more than the others.
    """
    known, space = {**exp.backend.arguments.defaults, MODEL: exp.model}, exp.search.parameters
    chosen = active(space, {name: parameter.nearest(known.get(name)) for name, parameter in space.items()})
    found = []
    for name in chosen:
        default = known.get(name)
        if chosen[name] != default:
            found.append(f"trial 0: the default {name}={default} is outside the search space, {chosen[name]} is used")
    return chosen, found


def defaults_of(model: str) -> Mapping[str, Any]:
    """Return the default of every train argument of a model's library, and the model itself."""
    return {**backend_for(model).arguments.defaults, MODEL: model}


def is_open_batch(value: Any) -> bool:
    """Return whether a batch is found before the search: -1, or the share of the GPU's memory to fill."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (value == -1 or 0 < value < 1)


def settings_of(exp: Experiment, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the train arguments of a trial, with the pipeline itself in place of its name in ``augmentations``."""
    settings = {**exp.train, **parameters, "seed": exp.seed}
    settings.pop(MODEL, None)
    if "batch" in settings and not is_open_batch(settings["batch"]):
        settings["batch"] = int(settings["batch"])
    name = settings.pop("augmentations", "default")
    if name == "none":
        settings["augmentations"] = []
    elif name != "default":
        settings["augmentations"] = [dict(step) for step in exp.augmentations[name]]
    return settings


def identity(
    settings: Mapping[str, Any],
    *,
    model: str,
    task: str,
    data_fingerprint: str,
    world_size: int = 1,
    runtime_only: Collection[str] = (),
) -> str:
    """Return the hash of everything that can change a trial's result (as in Dora).

    Args:
        settings: all train arguments.
        model: fingerprint of the model.
        task, data_fingerprint, world_size: further parts of the identity.
        runtime_only: arguments left out, because they change only how a training runs.
    """
    what = {key: value for key, value in settings.items() if key not in runtime_only}
    text = json.dumps([what, model, task, data_fingerprint, world_size], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sizes_of(exp: Experiment) -> list[int]:
    """Return the image sizes an experiment trains with, smallest first; empty if the backend has no image size."""
    return sorted({int(value) for value in exp.space.numbers("imgsz")})
