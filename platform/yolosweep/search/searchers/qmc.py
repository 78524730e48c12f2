"""Quasi-random search: a Sobol sequence, which covers the space more evenly than random points.

SciPy's sequence instead of Optuna's ``QMCSampler``: the point of a trial follows from its number alone, while Optuna
counts how often it was asked, which a resumed sweep does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolosweep.experiment import Parameter
from yolosweep.search.searchers.space_encoding import Axes

__all__ = ["Qmc", "covering_point"]


class Qmc:
    """See ``Searcher``; it learns nothing."""

    def __init__(self, space: Mapping[str, Parameter], *, seed: int, mode: str) -> None:
        self._axes, self._seed = Axes(space), seed

    def suggest(self, number: int, attempt: int = 0) -> dict[str, Any] | None:
        """Return the point of the sequence for trial ``number``; a random one where that was tried already."""
        return self._axes.parameters(covering_point(self._axes, self._seed, number, attempt))

    def started(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Learn nothing."""

    def tell(self, number: int, used: Mapping[str, Any], score: float | None, *, learned: bool = True) -> None:
        """Learn nothing."""


def covering_point(axes: Axes, seed: int, number: int, attempt: int = 0) -> NDArray[np.float64]:
    """Return point ``number`` of a scrambled Sobol sequence; from the second attempt on, a random one."""
    if attempt or not axes.count:
        uniform = np.random.default_rng([seed, number, attempt]).random((1, axes.count))
    else:
        from scipy.stats import qmc

        sequence = qmc.Sobol(axes.count, rng=np.random.default_rng(seed))
        if number:
            sequence.fast_forward(number)
        uniform = sequence.random(1)
    return np.asarray(axes.anywhere(uniform)[0])
