"""What a training would score at its end: a pure function of its curve and of the curves that are complete.

The logarithm of the gain to go, final score over score now, is linear in the recent slope: a Bayesian regression
(conjugate normal-inverse-gamma) for each epoch. Its prior says what fine-tuning curves do in general, and every
complete curve of the sweep sharpens it, late bloomers included. A score gets a small constant added before its
logarithm is taken, because curves from scratch begin at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHIFT", "CurveModel", "Forecast", "smoothed"]

Array = NDArray[np.float64]

_WINDOW = 3
"""Epochs over which a curve is averaged."""
_TINY, _HUGE = 1e-6, 1e9
"""What the logarithm is taken of is kept between these."""
SHIFT = 0.02
"""Added to scores, which are shares; nothing is added to losses."""
_SLOPE_CAP, _GAIN_CAP = 2.0, 4.0
_PRECISION = np.array([1.0, 4.0])
"""Of the prior of offset and slope, in complete curves' worth."""
_SHAPE = 2.0
"""Half the degrees of freedom of the prior of the spread."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The final score of a training, as its curve so far tells it."""

    final: float
    spread: float = 0.0
    """Standard deviation of the logarithm of the final score; 0 for a complete curve."""
    freedom: float = 4.0
    """Degrees of freedom of the Student distribution of that logarithm."""
    shift: float = 0.0
    """Added to the score before its logarithm is taken."""

    @property
    def deviation(self) -> float:
        """Standard deviation of the final score, about."""
        return (abs(self.final) + self.shift) * self.spread if math.isfinite(self.final) else 0.0

    def chance(self, best: float, mode: str) -> float:
        """Return the probability of a final score that is better than ``best``."""
        from scipy.special import stdtr

        better = self.final > best if mode == "max" else self.final < best
        if not self.spread or not math.isfinite(self.final):
            return float(better)
        gap = _log(best + self.shift) - _log(self.final + self.shift)
        return float(stdtr(self.freedom, (-gap if mode == "max" else gap) / self.spread))


def _log(value: float) -> float:
    return math.log(min(max(value, _TINY), _HUGE))


def smoothed(scores: Sequence[float | None], mode: str = "max") -> Array:
    """Return the best so far of the average over the last epochs; a missing score repeats the one before."""
    worst = 0.0 if mode == "max" else math.inf
    values, last = np.empty(len(scores)), worst
    for place, score in enumerate(scores):
        last = values[place] = last if score is None or not math.isfinite(score) else score
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - _WINDOW)
    if math.isinf(worst) and len(values) and math.isinf(values[0]):  # no sums with infinity
        means = np.array([values[begin:end].mean() for begin, end in zip(begins, ends, strict=True)])
    else:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        means = (sums[ends] - sums[begins]) / (ends - begins)
    best: Array = np.maximum.accumulate(means) if mode == "max" else np.minimum.accumulate(means)
    return best


def general_gain(share: float) -> tuple[float, float]:
    """Return mean and standard deviation of the log gain to go at a share of the schedule, for curves in general."""
    left = 1 - share
    return 0.42 * math.exp(-3.2 * share) * left, 0.015 + 0.30 * math.exp(-4.0 * share) * left


@dataclass(frozen=True)
class CurveModel:
    """Forecasts final scores.

    Args:
        complete: smoothed curves of trainings that reached their end, one row each.
        mode: ``max`` or ``min``.
    """

    complete: Array
    mode: str = "max"

    def forecast(self, curve: Array) -> Forecast:
        """Return the forecast of a smoothed curve that is not complete."""
        epoch = len(curve)
        if epoch not in self._fits:
            self._fits[epoch] = self._fit(epoch)
        weights, covariance, scale, freedom = self._fits[epoch]
        now = float(curve[-1])
        if not math.isfinite(now):  # no epoch gave a loss
            return Forecast(final=now)
        before = float(curve[max(1, epoch // 2) - 1])
        slope = self._sign * (_log(now + self._shift) - _log(before + self._shift))
        at = np.array([1.0, min(max(slope, 0.0), _SLOPE_CAP)])
        gain = min(float(at @ weights), _GAIN_CAP)
        spread = math.sqrt(scale * (1 + float(at @ covariance @ at)))
        final = (now + self._shift) * math.exp(self._sign * gain) - self._shift
        return Forecast(final=final, spread=spread, freedom=freedom, shift=self._shift)

    @cached_property
    def _fits(self) -> dict[int, tuple[Array, Array, float, float]]:
        return {}

    @property
    def _sign(self) -> float:
        return 1.0 if self.mode == "max" else -1.0

    @property
    def _shift(self) -> float:
        return SHIFT if self.mode == "max" else 0.0

    def _logs(self, scores: Array) -> Array:
        return np.asarray(np.log(np.clip(scores + self._shift, _TINY, _HUGE)))

    def _slopes(self, curves: Array, epoch: int) -> Array:
        """Return the log gain since half of the epochs."""
        now, before = (self._logs(curves[:, at - 1]) for at in (epoch, max(1, epoch // 2)))
        return np.asarray(np.clip(self._sign * (now - before), 0.0, _SLOPE_CAP))

    def _fit(self, epoch: int) -> tuple[Array, Array, float, float]:
        """Return mean and covariance factor of the weights, the variance scale, and the degrees of freedom."""
        mean, spread = general_gain(epoch / self.complete.shape[1])
        prior, precision = np.array([mean, 0.0]), np.diag(_PRECISION)
        usable = self.complete[np.isfinite(self.complete[:, epoch - 1])]
        at = np.column_stack([np.ones(len(usable)), self._slopes(usable, epoch)])
        gains = self._sign * (self._logs(usable[:, -1]) - self._logs(usable[:, epoch - 1]))
        posterior = precision + at.T @ at
        weights = np.linalg.solve(posterior, precision @ prior + at.T @ gains)
        shape = _SHAPE + len(usable) / 2
        rest = gains @ gains + prior @ precision @ prior - weights @ posterior @ weights
        scale = (_SHAPE * spread**2 + 0.5 * max(0.0, float(rest))) / shape
        return weights, np.linalg.inv(posterior), scale, 2 * shape
