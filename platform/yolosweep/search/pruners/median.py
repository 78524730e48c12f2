"""Optuna's median pruner: a trial stops whose best score so far is below the median of complete trials."""

from __future__ import annotations

import optuna

from yolosweep.experiment.schema import Search
from yolosweep.search.pruners.optuna_pruners import OptunaPruner

__all__ = ["median_pruner"]


def median_pruner(search: Search, epochs: int, *, complete: int) -> OptunaPruner:
    """Return it; ``complete``: trials that must have ended before."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=complete, n_warmup_steps=search.grace_epochs or 1)
    return OptunaPruner(search, epochs, pruner)
