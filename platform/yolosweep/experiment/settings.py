"""From suggested parameters to the complete train arguments of one trial, and its identity."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from yolosweep.experiment.arguments import defaults, how_not_what
from yolosweep.experiment.choices import PRUNERS, SEARCHERS
from yolosweep.experiment.schema import DEFAULT_METRIC, Experiment

__all__ = ["baseline", "grace_epochs", "identity", "resolved", "settings_of", "sizes_of"]

_QUIET = {"plots": False, "verbose": False}


def resolved(exp: Experiment) -> Experiment:
    """Return the experiment with every default decided that hangs on other fields."""
    search = exp.search
    change: dict[str, Any] = {}
    if search.metric is None:
        change["metric"] = "metrics/accuracy_top1" if exp.is_toy else DEFAULT_METRIC[exp.task]
    if search.trials is None:
        size = _grid_size(exp) if SEARCHERS[search.searcher].is_exhaustive else None
        if size is not None:
            change["trials"] = size
        elif search.time_budget is None and search.epoch_budget is None:
            change["trials"] = 20
    if PRUNERS[search.pruner].has_rungs and search.grace_epochs is None:
        change["grace_epochs"] = grace_epochs(epochs_of(exp))
    train = {**({} if exp.is_toy else _QUIET), "epochs": epochs_of(exp), **exp.train}
    return exp.model_copy(update={"search": search.model_copy(update=change), "train": train})


def epochs_of(exp: Experiment) -> int:
    """Return the planned epochs of every trial."""
    return int(exp.train.get("epochs", defaults().get("epochs", 100)))


def grace_epochs(epochs: int) -> int:
    """Return the default grace period: a tenth of the epochs, at least 3 (curves dip early), below the last one."""
    return max(1, min(epochs - 1, max(3, math.ceil(epochs / 10))))


def _grid_size(exp: Experiment) -> int | None:
    sizes = [size for p in exp.search.parameters.values() if (size := p.size()) is not None]
    return math.prod(sizes) if len(sizes) == len(exp.search.parameters) else None


def baseline(exp: Experiment) -> tuple[dict[str, Any], list[str]]:
    """Return trial 0's parameters, the defaults, and a note for each default that lies outside of the space.

    A default outside of the space is replaced by the nearest point in it, so that the search can learn from trial 0
    and trial 0 costs no more than the others.
    """
    known = defaults()
    chosen, told = {}, []
    for name, parameter in exp.search.parameters.items():
        default = known.get(name)
        chosen[name] = parameter.nearest(default)
        if chosen[name] != default:
            told.append(f"trial 0: the default {name}={default} lies outside of the space, {chosen[name]} is used")
    return chosen, told


def settings_of(exp: Experiment, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Ultralytics train arguments of a trial; pipelines are put in for ``augmentations`` names."""
    settings = {**exp.train, **parameters, "seed": exp.seed}
    if "batch" in settings:
        settings["batch"] = int(settings["batch"])
    name = settings.pop("augmentations", "default")
    if name == "none":
        settings["augmentations"] = []
    elif name != "default":
        settings["augmentations"] = [dict(step) for step in exp.augmentations[name]]
    return settings


def identity(settings: Mapping[str, Any], *, model: str, task: str, data_fingerprint: str, world_size: int = 1) -> str:
    """Return the hash of everything that can change a trial's result; how it is run is left out (as in Dora)."""
    what = {key: value for key, value in settings.items() if not how_not_what(key)}
    text = json.dumps([what, model, task, data_fingerprint, world_size], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sizes_of(exp: Experiment) -> list[int]:
    """Return the image sizes an experiment trains with, smallest first."""
    searched = exp.search.parameters.get("imgsz")
    values = searched.corners() if searched else [exp.train.get("imgsz", 640)]
    return sorted({int(value) for value in values if isinstance(value, (int, float))})
