"""How much each searched parameter matters for the score."""

from __future__ import annotations

from yolosweep.records.record import Record

__all__ = ["Importance"]


class Importance(Record):
    """Shares per parameter, or why there are none."""

    shares: dict[str, float]
    """Parameter → share of what distinguishes the best trials, largest first; they sum to 1. Empty if unknown."""
    trials: int
    """Comparable trials: those that trained all their epochs or stopped by patience."""
    needed: int
    """Comparable trials from which shares are given."""
