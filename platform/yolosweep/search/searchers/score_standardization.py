"""Scores on the scale that a model of them is fitted on: mean 0, variance 1, without disasters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolosweep.diagnosis.curve_forecast import SHIFT

__all__ = ["Units", "standardized"]

Array = NDArray[np.float64]

_FLOOR = 2.5
"""How bad a disaster is does not matter: values are cut so many times the distance from median to best below it."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """How values were standardized."""

    center: float
    scale: float
    shift: float | None
    """Added before the logarithm was taken; None where it was not."""

    def back(self, z: Array) -> Array:
        """Return standardized values as what they were."""
        values = self.center + self.scale * z
        return values if self.shift is None else np.exp(values) - self.shift


def standardized(values: Array, deviations: Array, *, are_shares: bool = False) -> tuple[Units, Array, Array]:
    """Return values and variances on a scale of their own, with disasters cut off.

    Args:
        values: more is better; minus infinity for a disaster.
        deviations: standard deviation of each.
        are_shares: whether noise is proportional to the value; if none is negative, their logarithms are standardized.
    """
    usable = np.isfinite(values)
    shift = SHIFT if are_shares and values[usable].min() >= 0 else None
    if shift is not None:
        shares = np.where(usable, values, 0.0) + shift
        values, deviations = np.where(usable, np.log(shares), -np.inf), deviations / shares
    top, middle = float(values[usable].max()), float(np.median(values[usable]))
    floor = top - _FLOOR * max(top - middle, 0.02 * max(abs(top), 1e-6))
    kept = np.maximum(np.where(usable, values, floor), floor)
    units = Units(center=float(kept.mean()), scale=max(float(kept.std()), 1e-6), shift=shift)
    return units, (kept - units.center) / units.scale, np.minimum(deviations / units.scale, 3.0) ** 2
