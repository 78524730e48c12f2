"""Which checkpoints stay when trials have ended."""

from __future__ import annotations

from yolosweep.history import History
from yolosweep.records import TrialRecord

__all__ = ["surplus"]


def surplus(history: History, keep_top: int) -> list[TrialRecord]:
    """Return the ended trials outside of the best ``keep_top`` whose checkpoints are still there."""
    keeping = [
        trial.record
        for trial in history.ranked()
        if trial.record is not None and "best.pt" in trial.record.files and not trial.dropped
    ]
    return keeping[keep_top:]
