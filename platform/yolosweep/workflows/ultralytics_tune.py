"""The arguments of Ultralytics' ``model.tune(use_ray=True)`` as an experiment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolosweep.backends import ArgumentSpace, Backend, backend_for
from yolosweep.backends.ultralytics.tune_space import DEFAULT_SPACE
from yolosweep.errors import ExperimentError, Fault
from yolosweep.experiment import Parameter
from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.runtime.tune_domains import is_domain, parameter_of

__all__ = ["DEFAULT_SPACE", "TuneCall", "experiment_of"]

_SEARCHERS = {"optuna": "tpe", "random": "random"}
"""Value of ``search_alg`` → value of ``search.searcher``."""


@dataclass(frozen=True, kw_only=True)
class TuneCall:
    """A call of ``tune``, under Ultralytics' names."""

    model: Any
    data: Any
    space: Mapping[str, Any] | None = None
    iterations: int = 300
    grace_period: int = 10
    gpu_per_trial: float | None = None
    search_alg: Any = "optuna"
    train_args: Mapping[str, Any] = field(default_factory=dict)


def experiment_of(call: TuneCall) -> dict[str, Any]:
    """Return the experiment that does what a call asks for.

    Raises:
        ExperimentError: an argument has no equivalent; all are listed.
    """
    faults: list[Fault] = []
    train = dict(call.train_args)
    model = _model_file(call.model, faults)
    backend = backend_for(model)
    task = str(train.pop("task", None) or getattr(call.model, "task", None) or _task_of(model, backend))
    epochs = train.get("epochs") or backend.arguments.defaults["epochs"]
    name, project = train.pop("name", None), train.pop("project", None)
    if "optimizer" not in (call.space or {}) and "optimizer" in backend.arguments.defaults:
        train.setdefault("optimizer", "AdamW")  # as Ultralytics does: "auto" would ignore lr0 and momentum
    parameters, fixed = _space(call.space, faults)
    train = {**fixed, **train}
    if call.space is None or not call.space:
        parameters = _default_space(model, task, backend, train)
    experiment: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", str(name or "tune")).strip("-._")[:64] or "tune",
        "task": task,
        "model": model,
        "data": _data(call.data, faults),
        "train": {key: value for key, value in train.items() if key != "seed"},
        "search": {
            "trials": call.iterations,
            "searcher": _searcher(call.search_alg, faults),
            "parameters": parameters,
            **_pruning(call.grace_period, epochs),
        },
        "resources": {} if call.gpu_per_trial is None else {"gpus_per_trial": call.gpu_per_trial},
        **({} if project is None else {"storage": str(project)}),
        **({"seed": train["seed"]} if "seed" in train else {}),
    }
    if faults:
        raise ExperimentError("tune()", faults)
    return experiment


def _model_file(model: Any, faults: list[Fault]) -> str:
    """Return what an experiment names as its model, of a file or a loaded YOLO model."""
    if isinstance(model, (str, Path)):
        return str(model)
    file = getattr(model, "ckpt_path", None) or getattr(model, "cfg", None) or getattr(model, "model_name", None)
    if not isinstance(file, (str, Path)):
        faults.append(Fault(key="model", message=f"{type(model).__name__} has no file; pass a .pt or .yaml file"))
        return "unknown.pt"
    return str(file)


def _task_of(model: str, backend: Backend) -> str:
    """Return the first task that the name of a model does not exclude."""
    return next((task for task in backend.tasks if backend.misnamed(model, task) is None), "detect")


def _data(data: Any, faults: list[Fault]) -> str:
    if isinstance(data, (str, Path)):
        return str(data)
    what = "is missing" if data is None else f"{data!r} is not one data set"
    faults.append(Fault(key="data", message=f"{what}; pass data='data.yaml'"))
    return "unknown"


def _searcher(search_alg: Any, faults: list[Fault]) -> str:
    """Return the searcher; None is random search, as in Ray Tune."""
    word = "random" if search_alg is None else search_alg
    known = {**{name: name for name in SEARCHERS}, **_SEARCHERS}
    if not isinstance(word, str) or word.strip().lower() not in known:
        shown = repr(word) if isinstance(word, str) else type(word).__name__
        faults.append(Fault(key="search_alg", message=f"{shown} is not available; choose from {', '.join(known)}"))
        return "tpe"
    return known[word.strip().lower()]


def _pruning(grace_period: int, epochs: Any) -> dict[str, Any]:
    """Return ASHA as Ultralytics sets it up; a single epoch leaves nothing to prune."""
    if not isinstance(epochs, int) or epochs < 2:
        return {"pruner": "none"}
    return {"pruner": "asha", "grace_epochs": max(1, min(grace_period, epochs - 1)), "reduction_factor": 3}


def _space(space: Mapping[str, Any] | None, faults: list[Fault]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the searched parameters, and the fixed values in the space."""
    searched: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    for name, value in (space or {}).items():
        if isinstance(value, Mapping) and set(value) == {"grid_search"}:
            searched[name] = {"values": list(value["grid_search"])}
        elif isinstance(value, (Mapping, Parameter)):
            searched[name] = value
        elif is_domain(value):
            try:
                searched[name] = parameter_of(value)
            except ValueError as error:
                faults.append(Fault(key=f"space.{name}", message=str(error)))
        elif value is None or isinstance(value, (bool, int, float, str)):
            fixed[name] = value
        else:
            message = f"{value!r} is not a search space; write tune.uniform(…), tune.choice([…]) or {{min: …, max: …}}"
            faults.append(Fault(key=f"space.{name}", message=message))
    return searched, fixed


def _default_space(model: str, task: str, backend: Backend, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default space without what is fixed or has no effect on this model and task."""
    known = backend.arguments.defaults
    names = [name for name in DEFAULT_SPACE if name in known and name not in fixed]
    if task != "segment":
        names = [name for name in names if name != "copy_paste"]  # it needs polygons
    space = ArgumentSpace(
        model=model, task=task, fixed=fixed, searched={name: DEFAULT_SPACE[name] for name in names}, defaults=known
    )
    without_effect = {fault.key.removeprefix("search.parameters.") for fault in backend.faults(space)}
    ranges = {name: DEFAULT_SPACE[name] for name in names if name not in without_effect}
    return {name: {"min": low, "max": high} for name, (low, high) in ranges.items()}
