"""Keys that users of other tools write, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from yolosweep.backends import BACKENDS
from yolosweep.backends.arguments import nearest_name
from yolosweep.experiment.schema import Experiment, Track
from yolosweep.experiment.search_parameter import Parameter

__all__ = ["explain_unknown", "fields_at"]

_ELSEWHERE = {
    **dict.fromkeys(("scheduler", "early_terminate", "early_termination", "pruning"), "search.pruner"),
    **dict.fromkeys(("method", "algorithm", "algo", "sampler", "search_alg", "strategy"), "search.searcher"),
    **dict.fromkeys(
        ("num_samples", "max_trials", "n_trials", "num_trials", "iterations", "run_cap", "count", "trials"),
        "search.trials",
    ),
    **dict.fromkeys(("direction", "goal"), "search.mode"),
    "objective": "search.metric",
    **dict.fromkeys(("space", "search_space", "param_space", "params", "hyperparameter_space"), "search.parameters"),
    **dict.fromkeys(("grace_period", "min_iter", "warmup_steps"), "search.grace_epochs"),
    "eta": "search.reduction_factor",
    **dict.fromkeys(("timeout", "time_budget_s", "max_hours", "time_limit"), "search.time_budget"),
    "max_t": "train.epochs",
    **dict.fromkeys(("gpus", "gpu", "num_gpus"), "resources.gpus_per_trial"),
    **dict.fromkeys(("num_workers", "ranks", "world_size"), "resources.workers"),
    **dict.fromkeys(("max_failures", "max_retries", "max_trial_retries"), "trial.retries"),
    **dict.fromkeys(("cpus", "cpu", "num_cpus"), "resources.cpus_per_trial"),
    **dict.fromkeys(("max_concurrent_trials", "n_jobs", "parallel", "concurrency"), "resources.max_concurrent"),
    **dict.fromkeys(("dataset", "data_yaml"), "data"),
    "weights": "model",
    **dict.fromkeys(("storage_path", "output", "output_dir", "run_dir", "save_dir", "local_dir"), "storage"),
    **dict.fromkeys(("hyperparameters", "hyp", "overrides", "args", "hyps"), "train"),
    **dict.fromkeys(("pipelines", "transforms"), "augmentations"),
}
"""Keys of Ray Tune, W&B sweeps, Optuna and Ultralytics → the key of the same thing in this file."""

_AXIS = {
    **dict.fromkeys(("low", "lower", "minimum", "start"), "write min:"),
    **dict.fromkeys(("high", "upper", "maximum", "end", "stop"), "write max:"),
    **dict.fromkeys(("choices", "options", "categories"), "write values:"),
    **dict.fromkeys(("type", "dist"), "write distribution:"),
    "step": "write q: with distribution: q_uniform",
    "log": "write distribution: log_uniform_values",
    "probabilities": "remove it; the searcher learns what works",
    **dict.fromkeys(("mu", "sigma"), "a range must be bounded; write min: and max:"),
    "default": "remove it; trial 0 has the default",
    **dict.fromkeys(("condition", "conditions", "if", "depends_on"), "write when:, e.g. when: {optimizer: SGD}"),
    "parameters": "parameters are not nested here; write each train argument under search.parameters",
}
"""Keys of a parameter in other tools, and the fix."""


_OTHER_TRACKERS = ("comet", "comet_ml", "clearml", "neptune", "dvclive", "dvc", "aim")
"""Trackers that people have and a sweep is not mirrored to."""


def explain_unknown(where: list[str | int], value: object) -> str:
    """Return the message for a key that is not allowed where it is.

    Args:
        where: path of the key, the key itself last.
        value: its value.
    """
    name, section = str(where[-1]), where[:-1]
    if name.lower() in _OTHER_TRACKERS and (not section or section == ["track"]):
        return (
            f"{name} is not supported; track.tensorboard and track.mlflow need no account, and `yolosweep show RUN "
            "--save trials.csv` gives any other tool the trials"
        )
    siblings = fields_at(section)
    if siblings == set(Parameter.model_fields) and name in _AXIS:
        return f"unknown key; {_AXIS[name]}"
    parent = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in section).removeprefix(".")
    close = nearest_name(name, siblings, cutoff=0.8)
    if close is not None and _field_elsewhere(name) is None:
        return f"unknown key; did you mean {parent}{'.' if parent else ''}{close}?"
    target = _ELSEWHERE.get(name) or _field_elsewhere(name) or _argument(name, value)
    if target is None:
        close = nearest_name(name, siblings)
        far = nearest_name(name, _ELSEWHERE, cutoff=0.75)
        target = f"{parent}{'.' if parent else ''}{close}" if close else _ELSEWHERE[far] if far else None
    if target is not None:
        return target if " " in target else f"unknown key; did you mean {target}?"
    return f"unknown key; known here: {', '.join(sorted(siblings))}"


def _field_elsewhere(name: str) -> str | None:
    """Return the dotted path of a field of this name in another section."""
    for section in ("search", "resources", "trial", "track", *(f"track.{sink}" for sink in Track.model_fields)):
        if name in fields_at(list(section.split("."))):
            return f"{section}.{name}"
    return name if name in Experiment.model_fields else None


def _argument(name: str, value: object) -> str | None:
    """Return where a train argument belongs that was written as a key of this file, or why it does not belong there."""
    for arguments in (backend.arguments for backend in BACKENDS):
        if name in arguments.owned:
            return f"unknown key; {arguments.owned[name]}"
        canonical = arguments.aliases.get(name, name)
        if canonical in arguments.defaults and canonical not in arguments.not_training:
            axis = isinstance(value, Mapping) and bool(set(value) & {"min", "max", "values", "distribution"})
            return f"search.parameters.{canonical}" if axis else f"train.{canonical}"
    return None


def fields_at(where: list[str] | list[str | int]) -> set[str]:
    """Return the keys that are allowed at a path of the file."""
    if [str(part) for part in where[:2]] == ["search", "parameters"]:
        return set(Parameter.model_fields)
    model: type[BaseModel] = Experiment
    for part in where:
        field = model.model_fields.get(str(part))
        model = (_model_in(field.annotation) if field else None) or model
    return set(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
