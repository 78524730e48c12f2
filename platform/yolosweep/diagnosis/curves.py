"""Pure functions of a trial's curves: best so far, epochs without gain, silent divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from yolosweep.records import EpochResult

__all__ = ["Progress", "diverged", "progress"]

_STAYS = 5
"""The last so many epochs must all be bad: healthy trainings on small data were bad for two, then recovered."""
_EXPLODED = 10.0
"""Multiple of its own earlier minimum. Warm-up, noise and the end of mosaic change a loss two- or threefold."""
_LOST = 0.05
"""Share of the best score below which the model has lost what it learned."""
_LEARNED = 0.05
"""Score (a share, as mAP and accuracy are) above the noise of the first epochs, which was up to 0.02."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state of a curve after its last epoch."""

    best_score: float | None
    best_epoch: int | None
    """Counted from 1."""
    epochs_without_gain: int


def progress(scores: Sequence[float | None], mode: str = "max") -> Progress:
    """Return best so far and epochs since the last gain.

    A missing or NaN score is no gain. The count follows Ultralytics' ``EarlyStopping``: while the best score is still
    0 (a model that has learned nothing yet) every epoch restarts it, so it predicts what patience will do.

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


def diverged(rows: Sequence[EpochResult], mode: str = "max") -> str | None:
    """Return a sentence on how a training diverged without any NaN; None if it did not.

    Only a lasting state counts: all of the last five epochs. Any one of:

    - the training loss (sum of ``train/``) is above ten times its own earlier minimum, and above its first value:
      near zero, ten times the minimum is still a good fit;
    - the same for the validation loss (sum of ``val/``), and at least half of the best score is lost as well. The
      loss alone proves nothing: it grows with overconfidence while the score stands, and in the first epochs of healthy
      YOLO trainings it jumps to a hundred times its minimum and back;
    - the score is below 5 % of a best that was at least 0.05 and came before. Not judged in mode ``min``, where the
      score is a loss, and the rules above are for losses.

    Rules skip epochs in which a value they need is missing.

    Args:
        rows: one per epoch, oldest first.
        mode: ``max`` or ``min``.
    """
    return (
        _exploded(rows, "train/", "training")
        or (_exploded(rows, "val/", "validation") if _half_lost(rows, mode) else None)
        or (_collapsed(rows) if mode == "max" else None)
    )


def _exploded(rows: Sequence[EpochResult], prefix: str, name: str) -> str | None:
    summed = [(row.epoch, _sum(row, prefix)) for row in rows]
    losses = [(epoch, loss) for epoch, loss in summed if loss is not None and loss > 0]
    before, last = losses[:-_STAYS], losses[-_STAYS:]
    if not before:
        return None
    epoch, least = min(before, key=lambda known: known[1])
    if min(loss for _, loss in last) <= max(_EXPLODED * least, losses[0][1]):
        return None
    return (
        f"the {name} loss exploded: {last[-1][1]:.4g} in epoch {last[-1][0]}, and for {_STAYS} epochs over "
        f"{_EXPLODED:g} times its minimum of {least:.4g} in epoch {epoch}"
    )


def _sum(row: EpochResult, prefix: str) -> float | None:
    values = [value for name, value in row.metrics.items() if name.startswith(prefix)]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _split(rows: Sequence[EpochResult]) -> tuple[list[tuple[float, int]], list[float]]:
    """Return scores with their epochs before the last ones, and the last ones."""
    scores = [(row.score, row.epoch) for row in rows if row.score is not None]
    return scores[:-_STAYS], [score for score, _ in scores[-_STAYS:]]


def _half_lost(rows: Sequence[EpochResult], mode: str) -> bool:
    before, last = _split(rows)
    if not before:
        return False
    if mode == "min":
        return min(last) > 2 * min(before)[0]
    best = max(before)[0]
    return best >= _LEARNED and max(last) < best / 2


def _collapsed(rows: Sequence[EpochResult]) -> str | None:
    before, last = _split(rows)
    if not before:
        return None
    best, minus_epoch = max((score, -epoch) for score, epoch in before)
    if best < _LEARNED or max(last) >= _LOST * best:
        return None
    return (
        f"the score collapsed and did not come back: {last[-1]:.4g} at the end, and for {_STAYS} epochs below "
        f"{_LOST:.0%} of its best of {best:.4g} in epoch {-minus_epoch}"
    )
