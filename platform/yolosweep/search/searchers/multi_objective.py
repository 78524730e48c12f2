"""Several objectives for a model of one score: random weights for each suggestion, and the chance to keep the limits.

As ParEGO (Knowles 2006), the objectives are folded into one number, the augmented Chebyshev function of their losses,
with other weights for each trial, so that the suggestions spread along the front. Unlike there, each objective has
a process of its own and their forecasts are folded: the fold itself has kinks that a process learns badly. The weights
follow from the seed and the number of the trial: a resume draws the same.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from yolosweep.records.objectives import Objective, Values
from yolosweep.search.searchers.gaussian_process import GaussianProcess, broad_prior, fitted_scales

__all__ = ["Limit", "Targets", "Traded", "fitted_limit", "folded"]

Array = NDArray[np.float64]

_SLOPE = 0.05
"""How much the objectives beside the worst one count (Knowles 2006)."""
_DRAWS = 64
_FEWEST = 3
"""Values that a model of a limit needs."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The objectives, and what is known of them."""

    objectives: tuple[Objective, ...] = ()
    values: dict[int, Values]
    """Of each trial that ended, by number."""

    @property
    def traded(self) -> list[int]:
        """Places of the objectives without a limit, the score first."""
        return [place for place, one in enumerate(self.objectives) if one.limit is None]

    @property
    def limited(self) -> list[int]:
        """Places of the objectives with a limit."""
        return [place for place, one in enumerate(self.objectives) if one.limit is not None]

    def weights(self, seed: int, number: int) -> Array | None:
        """Return the weights of a suggestion; None where nothing is traded off."""
        count = len(self.traded)
        return np.random.default_rng([seed, number, count]).dirichlet(np.ones(count)) if count > 1 else None

    def of(self, place: int, numbers: Container[int]) -> dict[int, float]:
        """Return the values of an objective, so that more is better, of those of these trials where it is known."""
        one = self.objectives[place]
        found = {n: values[place] for n, values in self.values.items() if n in numbers}
        return {n: -one.loss(value) for n, value in found.items() if value is not None}

    def is_within(self, number: int) -> bool:
        """Return whether a trial is known to keep all limits."""
        if not self.limited:
            return True
        values = self.values.get(number)
        return values is not None and all(self.objectives[place].is_met(values[place]) for place in self.limited)


@dataclass(frozen=True, kw_only=True)
class Traded:
    """A model of an objective, more is better, and the worst and the best value that it was fitted to."""

    process: GaussianProcess
    low: float
    top: float


def folded(models: Sequence[Traded], weights: Array, columns: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of the fold at points, more is better, over draws from the forecasts.

    Args:
        models: of each objective.
        weights: one per objective.
        columns: the points.
    """
    draws = np.random.default_rng(0).standard_normal((_DRAWS, len(models)))
    worst, total = np.full((_DRAWS, len(columns)), -np.inf), np.zeros((_DRAWS, len(columns)))
    for place, model in enumerate(models):
        mean, deviation = model.process.predict(columns)
        values = mean[None, :] + draws[:, place, None] * deviation[None, :]
        losses = weights[place] * (model.top - values) / max(model.top - model.low, 1e-9)
        worst, total = np.maximum(worst, losses), total + losses
    found = -(worst + _SLOPE * total)
    return found.mean(0), found.std(0) + 1e-6


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A model of a value that has a limit."""

    process: GaussianProcess
    bound: float
    """The limit as the process sees it: values below it are within."""

    def log_chance(self, columns: Array) -> Array:
        """Return the logarithm of the chance that a measurement at these points is within the limit."""
        mean, deviation = self.process.predict(columns)
        return np.asarray(log_ndtr((self.bound - mean) / np.sqrt(deviation**2 + self.process.scales.noise)))


def fitted_limit(
    objective: Objective,
    points: Mapping[int, Array],
    values: Mapping[int, float],
    groups: NDArray[np.int64],
    count: int,
) -> Limit | None:
    """Return a model of a limited objective; None while too little is known, or all values are the same.

    Args:
        objective: it has a limit.
        points: the columns of each trial, by number.
        values: its values, more is better.
        groups: parameter of each column.
        count: number of parameters.
    """
    numbers = [number for number in values if number in points]
    losses = np.array([-values[number] for number in numbers])
    if len(numbers) < _FEWEST or objective.limit is None or losses.std() <= 1e-12 * max(1.0, float(abs(losses).max())):
        return None
    x, z = np.array([points[number] for number in numbers]), (losses - losses.mean()) / losses.std()
    scales = fitted_scales(x, z, np.zeros(len(z)), groups, broad_prior(count))
    bound = (objective.loss(objective.limit) - losses.mean()) / losses.std()
    return Limit(process=GaussianProcess(x, z, np.zeros(len(z)), groups, scales), bound=float(bound))
