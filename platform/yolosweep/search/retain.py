"""Which files stay when trials have ended."""

from __future__ import annotations

from yolosweep.history import History
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, TrialRecord

__all__ = ["clear_leftovers", "surplus"]


def surplus(history: History, keep_top: int) -> list[TrialRecord]:
    """Return the ended trials outside of the best ``keep_top`` whose checkpoints are still there."""
    keeping = [
        trial.record
        for trial in history.ranked()
        if trial.record is not None and "best.pt" in trial.record.files and not trial.dropped
    ]
    return keeping[keep_top:]


def clear_leftovers(folder: RunFolder, history: History) -> None:
    """Remove what processes that were killed left in the folders of trials that have ended for good."""
    over = [name for name, t in history.trials.items() if t.record and t.record.ending is not Ending.CANCELLED]
    folder.remove_below(folder.checkpoint(name, "x").parent for name in over)
    for name in over:
        for file in folder.trial(name).glob("*"):
            is_draft = file.name.startswith(".") and file.suffix == ".tmp"
            if is_draft or (file.name.startswith("stacks-") and not file.stat().st_size):
                file.unlink(missing_ok=True)
