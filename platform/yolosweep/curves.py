"""Pure functions of a trial's scores: best so far and epochs without gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Progress", "progress"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a curve stands after its last epoch."""

    best_score: float | None
    best_epoch: int | None
    """Counted from 1."""
    epochs_without_gain: int


def progress(scores: Sequence[float | None], mode: str = "max") -> Progress:
    """Return best so far and epochs since the last gain.

    A missing or NaN score is no gain. The count follows Ultralytics' ``EarlyStopping``: while the best score is still
    0 (a model that has learned nothing yet) every epoch restarts it, so it says what patience will really do.

    Args:
        scores: one value per epoch, oldest first.
        mode: ``max`` or ``min``.
    """
    sign = 1.0 if mode == "max" else -1.0
    best: float | None = None
    best_epoch: int | None = None
    anchor = 0
    for epoch, score in enumerate(scores, 1):
        if score is None or not math.isfinite(score):
            continue
        gained = best is None or sign * score > sign * best
        if gained or best == 0:
            anchor = epoch
        if gained:
            best, best_epoch = score, epoch
    return Progress(best_score=best, best_epoch=best_epoch, epochs_without_gain=len(scores) - anchor)
