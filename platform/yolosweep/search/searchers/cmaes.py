"""CMA-ES (Hansen 2016): a normal distribution that moves and stretches towards the best trials."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from yolosweep.experiment import Parameter
from yolosweep.search.searchers.optuna_samplers import OptunaSearcher

__all__ = ["cmaes"]


def cmaes(space: Mapping[str, Parameter], *, seed: int, mode: str, population: int) -> OptunaSearcher:
    """Return Optuna's CMA-ES; choices without an order are drawn at random.

    Args:
        space, seed, mode: as of every searcher.
        population: trials of a generation; 0 for 4 + 3 ln(parameters).
    """

    def sampler(seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.CmaEsSampler(seed=seed, popsize=population or None, warn_independent_sampling=False)

    return OptunaSearcher(space, seed=seed, mode=mode, sampler=sampler, writes=True, ordered=True)
