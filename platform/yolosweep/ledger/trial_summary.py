"""One trial of a history as a :class:`TrialSummary`: what every table, page and tracker shows of it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.summary import RanOn, Restart, TrialSummary

__all__ = ["gain_over_defaults", "seconds_of", "summarize_trial"]


def summarize_trial(history: History, trial: TrialHistory, *, diverged: str | None = None) -> TrialSummary:
    """Return what is known of a trial, ended or not.

    Args:
        history: the sweep of the trial.
        trial: the trial.
        diverged: evidence of a divergence, as found by :mod:`yolosweep.diagnosis`.
    """
    record, request = trial.record, trial.request
    used = record.used if record else request.asked
    last = trial.rows[-1] if trial.rows else None
    stored = record.files.get("best.pt") if record and not trial.dropped else None
    return TrialSummary(
        trial=request.trial,
        number=request.number,
        repeats=request.repeats,
        seed=request.seed,
        ending=trial.status,
        reason=record.reason if record else "",
        score=_score(trial),
        gain=gain_over_defaults(history, _score(trial)),
        objectives=record.objectives if record else {},
        standing=_standing(history, request.trial),
        latency=record.footprint.how if record and record.footprint else None,
        best_epoch=last.best_epoch if last else None,
        epochs=len(trial.rows),
        seconds=round(seconds_of(trial), 1),
        gpu_hours=round(request.gpus * seconds_of(trial) / 3600, 6) if request.gpus else None,
        parameters={name: used.get(name, value) for name, value in request.asked.items()},
        used=used,
        ran_on=_ran_on(trial),
        attempts=tuple(Restart(from_epoch=e.from_epoch + 1, cause=e.cause, reason=e.reason) for e in trial.resumes),
        diverged=diverged,
        notes=record.notes if record else (),
        error=record.error if record else None,
        checkpoint=stored is not None,
        planned_epochs=request.epochs,
        last_score=last.score if last else None,
        checkpoint_path=stored.path if stored else None,
    )


def _standing(history: History, trial: str) -> str | None:
    """Return how a trial stands among several objectives."""
    if trial in history.standing.front:
        return "front"
    return "limit" if trial in history.standing.outside else None


def gain_over_defaults(history: History, score: float | None) -> float | None:
    """Return how much better a score is than that of trial 0; positive is better in both modes."""
    base = _score(history.baseline) if history.baseline else None
    if score is None or base is None:
        return None
    return round(score - base if history.mode == "max" else base - score, 6)


def _score(trial: TrialHistory) -> float | None:
    """Return the best score; of a trial without rows, as its record has it."""
    return trial.score if trial.rows or trial.record is None else trial.record.score


def seconds_of(trial: TrialHistory) -> float:
    """Return the time a trial took: as recorded, else the sum over its epochs."""
    if trial.record is not None:
        return trial.record.seconds
    return sum(row.seconds or 0.0 for row in trial.rows)


def _ran_on(trial: TrialHistory) -> RanOn:
    """Return what a trial ran on; without a record, what its request and its rows say."""
    record = trial.record
    return RanOn(
        host=(record.host or None) if record else None,
        device=record.device if record else None,
        world_size=record.world_size if record else trial.request.world_size,
        threads=record.threads if record else None,
        epoch_seconds=_measured(trial, "epoch_seconds", "seconds", median),
        images_per_s=_measured(trial, "images_per_s", "images_per_s", median),
        memory_mb=_measured(trial, "memory_mb", "memory_mb", max),
        gpu_memory_mb=_measured(trial, "gpu_memory_mb", "gpu_memory_mb", max),
        retries=trial.retries,
        recoveries=record.recoveries if record else 0,
    )


def _measured(trial: TrialHistory, name: str, of_row: str, folded: Callable[[list[float]], float]) -> float | None:
    """Return a value of the record, else fold the values of the rows."""
    known: float | None = getattr(trial.record, name, None)
    if known is None:
        values = [value for row in trial.rows if (value := getattr(row, of_row)) is not None]
        known = folded(values) if values else None
    return None if known is None else round(known, 4)
