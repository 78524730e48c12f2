"""Which trial to stop: asynchronous successive halving (Li et al. 2020), its stopping form, as a pure rule.

Rungs are at ``grace x factor^k`` epochs, all below the last epoch: the pruner never owns the end of a trial. At a rung
the best so far counts, because YOLO curves dip and recover.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from yolosweep.experiment.schema import Search
from yolosweep.records import EpochResult
from yolosweep.records.events import EpochRecorded, Event

__all__ = ["AshaPruner", "behind", "rungs"]


def rungs(grace_epochs: int, factor: int, epochs: int) -> list[int]:
    """Return the epochs at which trials are compared, all below ``epochs``."""
    levels = []
    level = grace_epochs
    while level < epochs:
        levels.append(level)
        level *= factor
    return levels


def behind(score: float | None, others: Sequence[float | None], factor: int, mode: str = "max") -> bool:
    """Return whether a trial is outside of the best 1/factor of a rung.

    Args:
        score: the trial's best so far; None (NaN, nothing measured) is worst.
        others: best so far of the other trials when they came to this rung.
        factor: the reduction factor.
        mode: ``max`` or ``min``.

    Returns:
        False while fewer than ``factor`` trials have come here (nothing to compare with), and for ties.
    """
    count = len(others) + 1
    if count < factor:
        return False
    sign = 1.0 if mode == "max" else -1.0
    mine = _rank(score, sign)
    better = sum(_rank(other, sign) > mine for other in others)
    return better >= math.ceil(count / factor)


def _rank(score: float | None, sign: float) -> float:
    return -math.inf if score is None or not math.isfinite(score) else sign * score


class AshaPruner:
    """Compares trials at rungs; see ``Pruner``."""

    def __init__(self, search: Search, epochs: int) -> None:
        self._factor, self._mode = search.reduction_factor, search.mode
        levels = rungs(search.grace_epochs or 1, search.reduction_factor, epochs)
        self._best: dict[int, dict[str, float | None]] = {level: {} for level in levels}

    def should_stop(self, trial: str, row: EpochResult) -> bool:
        """Return whether a trial is behind at a rung."""
        if row.epoch not in self._best:
            return False
        others = [score for other, score in self._best[row.epoch].items() if other != trial]
        return behind(row.best_score, others, self._factor, self._mode)

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        if isinstance(event, EpochRecorded) and event.row.epoch in self._best:
            self._best[event.row.epoch][event.trial] = event.row.best_score
