"""The final record of a trial: completed from the ledger, or assembled from it where the process is gone."""

from __future__ import annotations

import statistics

from yolosweep.diagnosis.curves import diverged
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import TrialHistory
from yolosweep.records import Cause, Ending, FileRef, TrialRecord, Verdict
from yolosweep.storage.atomic_files import sha256_of

__all__ = ["death_cause", "ending_from_rows", "finalize_record", "record_from_rows"]

_PATIENCE = 100
"""Ultralytics' default."""


def finalize_record(record: TrialRecord, known: TrialHistory) -> TrialRecord:
    """Return a record with its retries, and as ``diverged`` if its curve collapsed without any NaN."""
    change: dict[str, object] = {"retries": known.retries}
    if record.ending in (Ending.FINISHED, Ending.PATIENCE):
        fell_apart = diverged(known.rows, known.request.mode)
        if fell_apart is not None:
            change.update(ending=Ending.DIVERGED, reason=fell_apart)
    return record.model_copy(update=change)


def ending_from_rows(known: TrialHistory) -> tuple[Ending, str] | None:
    """Return how a trial ended that died between its last row and its record; None if it has epochs left."""
    if not known.rows:
        return None
    last, request = known.rows[-1], known.request
    if known.verdict is Verdict.PRUNE:
        return Ending.PRUNED, f"behind the other trials after epoch {last.epoch}"
    if last.epoch >= request.epochs:
        return Ending.FINISHED, f"all {last.epoch} epochs trained"
    patience = int(request.settings.get("patience", _PATIENCE) or 0)
    if patience and last.epochs_without_gain >= patience:
        return Ending.PATIENCE, f"no gain for {patience} epochs after epoch {last.best_epoch}"
    return None


def death_cause(folder: RunFolder, known: TrialHistory, error: str) -> tuple[Cause, str]:
    """Return why the worker of a trial died, and a sentence; a dump of stacks means that it stalled."""
    stacks = folder.bring(folder.stacks(known.request.trial, known.retries))
    if not (stacks.is_file() and stacks.stat().st_size > 0):
        return Cause.INFRA, f"its worker died: {error}"
    where = stacks.relative_to(folder.root).as_posix()
    return Cause.STALLED, f"it stalled; the stacks of its threads are in {where}"


def record_from_rows(
    folder: RunFolder, known: TrialHistory, ending: Ending, reason: str, *, cause: Cause | None, error: str | None
) -> TrialRecord:
    """Return a record assembled from a trial's rows; the best weights come from its newest intact checkpoint."""
    last = known.rows[-1] if known.rows else None
    seconds = [row.seconds for row in known.rows if row.seconds is not None]
    speeds = [row.images_per_s for row in known.rows if row.images_per_s is not None]
    batch = known.request.lowered if last is None or last.batch is None else last.batch
    return TrialRecord(
        trial=known.request.trial,
        number=known.request.number,
        ending=ending,
        reason=reason,
        asked=known.request.asked,
        used=known.request.asked if batch is None else {**known.request.asked, "batch": batch},
        score=last.best_score if last else None,
        best_epoch=last.best_epoch if last else None,
        epochs=len(known.rows),
        seconds=round(sum(seconds), 3),
        files=_best_file(folder, known),
        cause=cause,
        device=last.device if last else "unknown" if known.request.gpus else "cpu",
        host=last.host if last else "",
        world_size=known.request.world_size,
        threads=known.request.threads,
        epoch_seconds=statistics.median(seconds) if seconds else None,
        images_per_s=statistics.median(speeds) if speeds else None,
        memory_mb=max((row.memory_mb for row in known.rows if row.memory_mb is not None), default=None),
        gpu_memory_mb=max((row.gpu_memory_mb for row in known.rows if row.gpu_memory_mb is not None), default=None),
        recoveries=last.recoveries if last else 0,
        notes=("recorded from its rows: its process ended before it could",),
        error=error,
    )


def _best_file(folder: RunFolder, known: TrialHistory) -> dict[str, FileRef]:
    """Publish the best weights among the checkpoints, if they are intact and belong to the best row."""
    best_epoch = known.rows[-1].best_epoch if known.rows else None
    for checkpoint in reversed(known.checkpoints):
        if checkpoint.best is None or best_epoch is None or checkpoint.epoch < best_epoch:
            return {}
        source = folder.resolve(checkpoint.best)
        if source.is_file() and sha256_of(source) == checkpoint.best.sha256:
            return {"best.pt": folder.publish(source, folder.trial(known.request.trial) / "best.pt")}
    return {}
