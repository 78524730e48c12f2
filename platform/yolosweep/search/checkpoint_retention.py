"""Which files stay when trials have ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Ending, FileRef, TrialRecord
from yolosweep.records.events import CheckpointsDropped

__all__ = ["clear_leftovers", "drop_surplus", "forget", "surplus", "with_final_names", "working_folders"]


def surplus(history: History, keep_top: int) -> list[TrialRecord]:
    """Return the ended trials outside of the best ``keep_top`` whose checkpoints are still there.

    Trial 0 keeps its own: the winner is compared with it, image by image. So do the trials on the Pareto front, those
    that are trained again in the finals, and the best repeat of each.
    """
    again = {repeat.request.repeats for repeat in history.repeats()}
    kept = {*again, *history.standing.front}
    found = [record for record in _keeping(history.ranked())[keep_top:] if record.number and record.trial not in kept]
    sign = -1.0 if history.mode == "max" else 1.0
    for trial in sorted(name for name in again if name is not None):
        repeats = [one for one in history.repeats(trial) if one.score is not None]
        found += _keeping(sorted(repeats, key=lambda one: (sign * (one.score or 0.0), one.request.number)))[1:]
    return found


def _keeping(trials: Iterable[TrialHistory]) -> list[TrialRecord]:
    """Return the records of the trials whose checkpoints are still there."""
    ended = [trial.record for trial in trials if trial.record is not None and not trial.dropped]
    return [record for record in ended if "best.pt" in record.files]


def drop_surplus(
    folder: RunFolder, history: History, keep_top: int, write: Callable[[CheckpointsDropped], None]
) -> None:
    """Delete checkpoints outside of the best ``keep_top`` ended trials; rows, settings and logs stay."""
    for record in surplus(history, keep_top):
        # Told before it is done: a crash in between leaves a file too many, never a promise broken.
        is_repeat = history.trials[record.trial].request.repeats is not None
        reason = "not the best of its seeds" if is_repeat else f"not among the best {keep_top}"
        write(CheckpointsDropped(trial=record.trial, reason=reason))
        for name in ("best.pt", "last.pt"):
            if name in record.files:
                folder.remove(record.files[name])


def with_final_names(folder: RunFolder, record: TrialRecord) -> TrialRecord:
    """Return the record of the attempt that counts, its files moved from the attempt's folder to the trial's.

    Attempts publish under names of their own, so a process that was believed dead and comes back after its trial
    resumed elsewhere can never overwrite what is recorded. A file that is gone is left out, and a note says so.
    """
    files: dict[str, FileRef] = {}
    notes = list(record.notes)
    for name, reference in record.files.items():
        target = folder.trial(record.trial) / name
        if reference.path.startswith("trials/") and "/attempts/" in reference.path:
            moved = folder.move(reference, target)
            if moved is None:
                notes.append(f"{name} is missing: it was removed before the trial was recorded")
                continue
            reference = moved
        files[name] = reference
    return record.model_copy(update={"files": files, "notes": tuple(notes)})


def clear_leftovers(folder: RunFolder, history: History) -> None:
    """Remove what killed processes left in the folders of trials that have ended for good."""
    over = [name for name, t in history.trials.items() if t.record and t.record.ending is not Ending.CANCELLED]
    folder.remove_below(below for name in over for below in working_folders(folder, name))
    for name in over:
        for file in folder.trial(name).glob("*"):
            is_draft = file.name.startswith(".") and file.suffix == ".tmp"
            if is_draft or (file.name.startswith("stacks-") and not file.lstat().st_size):
                file.unlink(missing_ok=True)


def working_folders(folder: RunFolder, trial: str) -> list[Path]:
    """Return the folders that a trial no longer needs once it has ended for good: checkpoints and attempts."""
    return [folder.checkpoint(trial, "x").parent, folder.attempt(trial, 0, "x").parents[1]]


def forget(folder: RunFolder, trial: str) -> None:
    """Delete the checkpoints of a trial on this machine where an object storage has them and gives them back.

    The controller removes what nobody needs any more from the storage and from its own machine; this is for the others.
    """
    if folder.objects is not None:
        shutil.rmtree(folder.checkpoint(trial, "x").parent, ignore_errors=True)
