"""A sweep as an Optuna study in a journal file, for ``optuna.load_study``, optuna-dashboard and Optuna's analyses."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from yolosweep.experiment import Parameter
from yolosweep.experiment.search_parameter import parameters_of
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Ending
from yolosweep.search.searchers.optuna_samplers import distribution_of

__all__ = ["write_study"]


def write_study(history: History, path: Path) -> None:
    """Write a study with the trials of a sweep into a new journal file; the study has the sweep's identifier as name.

    A trial has the searched parameters as used, the score of every epoch as intermediate values, and as user attributes
    its name, ending, reason and metrics. Trials that ran to their end or were stopped by patience are complete, pruned
    ones pruned, all others that ended failed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    direction = StudyDirection.MAXIMIZE if history.mode == "max" else StudyDirection.MINIMIZE
    study = optuna.create_study(study_name=history.sweep, storage=storage, direction=direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([history.metric])
    about = {"metric": history.metric, "model": history.experiment["model"], "data": history.dataset.fingerprint}
    for name, value in about.items():
        study.set_user_attr(name, value)
    space = parameters_of(history.experiment)
    axes = {name: axis for name, parameter in space.items() if (axis := _axis(parameter)) is not None}
    for trial in sorted(history.trials.values(), key=lambda trial: trial.request.number):
        study.add_trial(_frozen(trial, axes))


def _axis(parameter: Parameter) -> BaseDistribution | None:
    """Return Optuna's distribution of a parameter, with the choices themselves; None for a constant."""
    if parameter.kind == "categorical":
        return CategoricalDistribution([_choice(value) for value in parameter.values or ()])
    return distribution_of(parameter)


def _choice(value: Any) -> Any:
    """Return a value that Optuna can store: what is no number or text is written as JSON."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else json.dumps(value)


def _fits(axis: BaseDistribution, value: Any) -> bool:
    """Return whether a value is on an axis; a lowered batch may not be."""
    try:
        return axis._contains(axis.to_internal_repr(value))
    except (TypeError, ValueError):
        return False


def _state_of(trial: TrialHistory) -> TrialState:
    if trial.record is None:
        return TrialState.RUNNING
    if trial.record.ending is Ending.PRUNED:
        return TrialState.PRUNED
    return TrialState.COMPLETE if trial.record.ending.is_natural and trial.score is not None else TrialState.FAIL


def _frozen(trial: TrialHistory, axes: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """Return a trial for Optuna."""
    record, state = trial.record, _state_of(trial)
    used = {name: _choice(value) for name, value in (record.used if record else trial.request.asked).items()}
    params = {name: used[name] for name, axis in axes.items() if name in used and _fits(axis, used[name])}
    steps = {row.epoch: row.score for row in trial.rows if row.score is not None}
    value = {TrialState.COMPLETE: trial.score, TrialState.PRUNED: steps.get(max(steps, default=0))}.get(state)
    frozen = optuna.trial.create_trial(
        state=state,
        value=value,
        params=params,
        distributions={name: axes[name] for name in params},
        user_attrs=_attributes(trial, used),
        intermediate_values=steps,
    )
    frozen.datetime_start = trial.started_at.astimezone().replace(tzinfo=None)  # as Optuna: local, without a zone
    if record is not None:
        frozen.datetime_complete = frozen.datetime_start + timedelta(seconds=record.seconds)
    return frozen


def _attributes(trial: TrialHistory, used: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Optuna has no field for: name, ending, costs, values as used, metrics of the last epoch."""
    attributes: dict[str, Any] = {"trial": trial.request.trial, "ending": trial.status, "epochs": len(trial.rows)}
    if (record := trial.record) is not None:
        attributes |= {"reason": record.reason, "seconds": record.seconds, "best_epoch": record.best_epoch}
        attributes |= {f"objective/{name}": value for name, value in record.objectives.items()}
    attributes |= {f"used/{name}": value for name, value in used.items()}
    return attributes | (dict(trial.rows[-1].metrics) if trial.rows else {})
