"""The final record of a trial: completed from the ledger, or assembled from it where the process is gone."""

from __future__ import annotations

from yolosweep.backends import backend_for
from yolosweep.diagnosis.curves import diverged
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import TrialHistory
from yolosweep.records import Cause, Ending, FileRef, Outcome, TrialRecord, Verdict, record_of
from yolosweep.storage.atomic_files import sha256_of

__all__ = ["death_cause", "ending_from_rows", "finalize_record", "record_from_rows"]


def finalize_record(record: TrialRecord, known: TrialHistory) -> TrialRecord:
    """Return a record with its retries, and as ``diverged`` if its curve collapsed without any NaN."""
    change: dict[str, object] = {"retries": known.retries}
    if record.ending is Ending.PRUNED and known.reason is not None:
        change["reason"] = known.reason
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
        return Ending.PRUNED, known.reason or f"behind the other trials after epoch {last.epoch}"
    if last.epoch >= request.epochs:
        return Ending.FINISHED, f"all {last.epoch} epochs trained"
    patience = backend_for(request.model).arguments.patience(request.settings)
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
    """Return a record from a trial's rows; the best weights come from its last intact checkpoint."""
    last, request = known.rows[-1] if known.rows else None, known.request
    batch = request.lowered if last is None or last.batch is None else last.batch
    outcome = Outcome(
        ending=ending,
        reason=reason,
        cause=cause,
        error=error,
        used=request.asked if batch is None else {**request.asked, "batch": batch},
        device=last.device if last else "unknown" if request.gpus else "cpu",
        host=last.host if last else "",
        threads=request.threads,
        files=_best_file(folder, known),
        notes=("recorded from its rows, because its process ended first",),
    )
    return record_of(request, known.rows, outcome)


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
