"""Intervals of proportions."""

from __future__ import annotations

import math

__all__ = ["wilson"]


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927), valid for few trials, too; 0 to 1 without any."""
    if not tries:
        return 0.0, 1.0
    z = 1.959964
    share, weight = hits / tries, z * z / tries
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / tries + weight / (4 * tries)) / (1 + weight)
    return max(middle - half, 0.0), min(middle + half, 1.0)
