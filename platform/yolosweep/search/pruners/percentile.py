"""Optuna's percentile pruner: a trial stops whose best score so far is not in the best share of complete trials."""

from __future__ import annotations

import optuna

from yolosweep.experiment.schema import Search
from yolosweep.search.pruners.optuna_pruners import OptunaPruner

__all__ = ["percentile_pruner"]


def percentile_pruner(search: Search, epochs: int, *, percentile: float, complete: int) -> OptunaPruner:
    """Return it; ``percentile``: the share that goes on, ``complete``: trials that must have ended before."""
    grace = search.grace_epochs or 1
    pruner = optuna.pruners.PercentilePruner(percentile, n_startup_trials=complete, n_warmup_steps=grace)
    return OptunaPruner(search, epochs, pruner)
