"""Parameter importance: which searched parameters distinguish the best trials from the others.

PED-ANOVA (Watanabe et al. 2023), from Optuna: 0.1 s for 200 trials, and it needs no further package. Only trials that
trained to their end count: a pruned trial has the score of another epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from yolosweep.experiment import Parameter
from yolosweep.experiment.search_parameter import parameters_of
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.importance import Importance

if TYPE_CHECKING:
    import optuna

__all__ = ["comparable_trials", "importance_of"]

_NEEDED = 10
"""Fewer trials say nothing: the best of them are three or four."""
_BEST = 5
"""Trials that count as the best at least: Optuna's advice for this method."""
_QUANTILE = 0.2
"""Share of the trials that count as the best."""


def comparable_trials(history: History) -> list[TrialHistory]:
    """Return the searched trials whose scores compare: with all their epochs, or stopped by patience."""
    return [
        trial
        for trial in history.searched
        if trial.record is not None and trial.record.ending.is_natural and trial.record.score is not None
    ]


def importance_of(history: History) -> Importance:
    """Return the importance of every searched parameter that has more than one value."""
    trials = comparable_trials(history)
    different = len({trial.record.score for trial in trials if trial.record}) > 1
    shares = _shares(history, trials) if len(trials) >= _NEEDED and different else {}
    return Importance(shares=shares, trials=len(trials), needed=_NEEDED)


def _shares(history: History, trials: Sequence[TrialHistory]) -> dict[str, float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if history.mode == "max" else "minimize")
    space = parameters_of(history.experiment)
    axes = {name: axis for name, parameter in space.items() if (axis := _axis(parameter)) is not None}
    for trial in trials:
        assert trial.record is not None
        point = _point(space, axes, trial.record.used)
        if point is not None:
            study.add_trial(optuna.trial.create_trial(params=point, distributions=axes, value=trial.record.score))
    if len(study.trials) < _NEEDED:
        return {}
    quantile = max(_QUANTILE, _BEST / len(study.trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(share, 4) for name, share in sorted(found.items(), key=lambda pair: -pair[1])}


def _axis(parameter: Parameter) -> optuna.distributions.BaseDistribution | None:
    """Return Optuna's distribution of a parameter; None if it has a single value."""
    from yolosweep.search.searchers.optuna_samplers import distribution_of

    return distribution_of(parameter) if len(set(map(repr, parameter.corners()))) > 1 else None


def _point(
    space: Mapping[str, Parameter],
    axes: Mapping[str, optuna.distributions.BaseDistribution],
    used: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Return Optuna's parameters of a trial; None if it used a value outside of the space, such as a lowered batch."""
    point: dict[str, Any] = {}
    for name, axis in axes.items():
        first = space[name].corners()[0] if space[name].when else None
        value, choices = used.get(name, first), space[name].values
        if choices is not None:
            value = next((index for index, choice in enumerate(choices) if choice == value), -1)
        if value is None or not axis._contains(value):
            return None
        point[name] = value
    return point
