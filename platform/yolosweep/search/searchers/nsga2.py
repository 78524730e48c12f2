"""NSGA-II (Deb et al. 2002), a genetic algorithm: children of the best trials, crossed and mutated."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from yolosweep.experiment import Parameter
from yolosweep.search.searchers.optuna_samplers import OptunaSearcher

__all__ = ["nsga2"]


def nsga2(space: Mapping[str, Parameter], *, seed: int, mode: str, population: int) -> OptunaSearcher:
    """Return Optuna's NSGA-II; ``population``: trials of a generation, the first one random."""
    return OptunaSearcher(
        space,
        seed=seed,
        mode=mode,
        sampler=lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=population),
        writes=True,
    )
