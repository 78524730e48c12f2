"""Random search (Bergstra and Bengio 2012)."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from yolosweep.experiment import Parameter
from yolosweep.search.searchers.optuna_samplers import OptunaSearcher

__all__ = ["random_search"]


def random_search(space: Mapping[str, Parameter], *, seed: int, mode: str) -> OptunaSearcher:
    """Return independent random points."""
    return OptunaSearcher(space, seed=seed, mode=mode, sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed))
