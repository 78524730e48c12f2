"""The tree-structured Parzen estimator (Bergstra et al. 2011), multivariate as in BOHB (Falkner et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from yolosweep.experiment import Parameter
from yolosweep.search.searchers.optuna_samplers import OptunaSearcher

__all__ = ["tpe"]


def tpe(space: Mapping[str, Parameter], *, seed: int, mode: str, first: int = 10) -> OptunaSearcher:
    """Return Optuna's multivariate TPE; running trials count as bad, so that workers spread out.

    Args:
        space, seed, mode: as of every searcher.
        first: random trials before TPE takes over (10 is Optuna's own default).
    """
    return OptunaSearcher(
        space,
        seed=seed,
        mode=mode,
        sampler=lambda seed: optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=first
        ),
    )
