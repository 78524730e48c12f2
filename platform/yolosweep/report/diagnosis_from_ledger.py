"""What a run's ledger gives the checks of :mod:`yolosweep.diagnosis`, and what they find."""

from __future__ import annotations

from collections.abc import Mapping

from yolosweep.diagnosis import all_checks
from yolosweep.diagnosis.observed_sweep import Axis, Sweep, Trial
from yolosweep.diagnosis.observed_training import Training
from yolosweep.diagnosis.verdict import judge
from yolosweep.experiment import Parameter, defaults_of
from yolosweep.experiment.search_parameter import parameters_of
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.ledger.verdict_evidence import evidence_of
from yolosweep.records import Ending
from yolosweep.records.diagnosis import Diagnosis
from yolosweep.records.importance import Importance
from yolosweep.search.parameter_importance import comparable_trials, importance_of

__all__ = ["diagnose_sweep", "diagnose_trial", "sweep_of"]

_STOPPED = (Ending.PRUNED, Ending.CANCELLED, Ending.FAILED, Ending.OOM)
"""Endings after which the curves do not say whether further epochs would have helped."""


def diagnose_sweep(history: History, importance: Importance | None = None) -> tuple[Diagnosis, ...]:
    """Return what a sweep shows, the most consequential first, and what its best trial's curves show.

    Args:
        history: the sweep.
        importance: of its parameters, where it is known already.
    """
    return all_checks.diagnose_sweep(sweep_of(history, importance))


def diagnose_trial(history: History, trial: TrialHistory) -> tuple[Diagnosis, ...]:
    """Return what one trial's curves show, the verdict first."""
    return all_checks.diagnose_training(_training(history, trial))


def sweep_of(history: History, importance: Importance | None = None) -> Sweep:
    """Return a sweep as the checks see it."""
    experiment = history.experiment
    evidence = evidence_of(history, defaults_of(str(experiment["model"])))
    on_val = evidence.model_copy(update={"finalists": ()})  # what single scores can be wrong about
    space = parameters_of(experiment)
    comparable = {trial.request.trial for trial in comparable_trials(history)} - history.standing.outside
    return Sweep(
        trials=tuple(_trial(history, trial, trial.request.trial in comparable) for trial in history.searched),
        axes={name: axis for name, parameter in space.items() if (axis := _axis(parameter)) is not None},
        searched=tuple(name for name, parameter in space.items() if len(set(map(repr, parameter.corners()))) > 1),
        mode=history.mode,
        metric=history.metric,
        model=str(experiment["model"]),
        settings=experiment.get("train", {}),
        dataset=history.dataset,
        importance=importance or importance_of(history),
        resolution=judge(on_val).resolution,
        per_class=_per_class(history),
        is_over=history.ended is not None,
    )


def _trial(history: History, trial: TrialHistory, is_comparable: bool) -> Trial:
    record, asked = trial.record, trial.request.asked
    used = record.used if record else asked
    return Trial(
        training=_training(history, trial),
        number=trial.request.number,
        ending=trial.status,
        score=record.score if record else trial.score,
        parameters={name: used.get(name, value) for name, value in asked.items()},
        is_comparable=is_comparable,
    )


def _training(history: History, trial: TrialHistory) -> Training:
    request, record = trial.request, trial.record
    return Training(
        rows=tuple(trial.rows),
        metric=history.metric,
        mode=history.mode,
        planned_epochs=request.epochs,
        settings={"model": history.experiment["model"], **request.settings, **(record.used if record else {})},
        trial=request.trial,
        stopped=record is None or record.ending in _STOPPED,
    )


def _axis(parameter: Parameter) -> Axis | None:
    if parameter.kind not in ("int", "float"):
        return None
    low, high = parameter.corners()
    return Axis(
        low=low, high=high, is_log=parameter.is_log, is_whole=parameter.kind == "int", step=parameter.q,
        when=parameter.when,
    )  # fmt: skip


def _per_class(history: History) -> Mapping[str, float]:
    """Return the winner's score per class on val, in the searched metric or the one that stands for it."""
    validation = history.winner.validations.get("val") if history.winner else None
    found: dict[str, float] = {}
    for name, metrics in (validation.per_class if validation else {}).items():
        value = metrics.get(history.metric)
        if value is None:
            value = next((v for key, v in metrics.items() if "mAP50-95" in key and v is not None), None)
        if value is not None:
            found[name] = value
    return found
