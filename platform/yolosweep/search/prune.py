"""Which trial to stop: asynchronous successive halving (Li et al. 2020), its stopping form, as a pure rule.

Rungs lie at ``grace x factor^k`` epochs, all below the last epoch: the pruner never owns the end of a trial. At a rung
the best so far counts, because YOLO curves dip and recover.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["behind", "rungs"]


def rungs(grace_epochs: int, factor: int, epochs: int) -> list[int]:
    """Return the epochs at which trials are compared, all below ``epochs``."""
    levels = []
    level = grace_epochs
    while level < epochs:
        levels.append(level)
        level *= factor
    return levels


def behind(score: float | None, others: Sequence[float | None], factor: int, mode: str = "max") -> bool:
    """Tell whether a trial is outside of the best 1/factor of a rung.

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
