"""What an epoch takes, as far as the parameters decide it: a linear model of the logarithm of measured seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cost_slopes"]

Array = NDArray[np.float64]

_PRIOR = 4.0
"""Precision of the prior: a slope is hardly more than 1 unless epochs show it."""
_ROUNDS = 5
_LEAST_NOISE = 1e-3
_FEWEST = 3
"""Trainings below which nothing is concluded."""


def cost_slopes(columns: Array, seconds: Array) -> Array:
    """Return by how much the logarithm of the seconds grows from one end of each column to the other.

    Ridge regression whose noise is estimated from what it does not explain, so that columns without effect give slopes
    near 0, and so do machines of different speed.

    Args:
        columns: one row per training, each column from 0 to 1.
        seconds: what an epoch took, above 0.
    """
    count, width = columns.shape
    if count < _FEWEST:
        return np.zeros(width)
    logs = np.log(seconds)
    x, y = columns - columns.mean(0), logs - logs.mean()
    noise, slopes = max(float(y.var()), _LEAST_NOISE), np.zeros(width)
    for _ in range(_ROUNDS):
        precision = x.T @ x / noise + _PRIOR * np.eye(width)
        slopes = np.linalg.solve(precision, x.T @ y / noise)
        used = width - float(np.trace(np.linalg.inv(precision)))
        rest = y - x @ slopes
        noise = max(float(rest @ rest) / max(count - 1 - used, 1.0), _LEAST_NOISE)
    return np.asarray(slopes)
