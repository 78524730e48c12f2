"""Trials of earlier sweeps that a search starts from."""

from __future__ import annotations

from typing import Any

from yolosweep.records.record import Record

__all__ = ["EarlierTrial"]


class EarlierTrial(Record):
    """A trial of an earlier sweep, in the parameters of this one; written to this sweep's ledger when it starts."""

    sweep: str
    trial: str
    parameters: dict[str, Any]
    score: float
    """At its end: as trained, or as forecast from its curve."""
    deviation: float = 0.0
    """Standard deviation of the score."""
    base: float | None = None
    """Score of trial 0 in its sweep: scores there were made under other conditions, so that only the gain over it says
    something. None where they compare as they are."""
