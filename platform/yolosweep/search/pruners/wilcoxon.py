"""Optuna's Wilcoxon pruner: a trial stops whose epochs so far are probably worse than the same of the best one."""

from __future__ import annotations

import warnings

import optuna

from yolosweep.experiment.schema import Search
from yolosweep.search.pruners.optuna_pruners import OptunaPruner

__all__ = ["wilcoxon_pruner"]


def wilcoxon_pruner(search: Search, epochs: int, *, threshold: float) -> OptunaPruner:
    """Return it; ``threshold``: p-value of the signed-rank test below which a trial stops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=threshold, n_startup_steps=search.grace_epochs or 1)
    return OptunaPruner(search, epochs, pruner)
