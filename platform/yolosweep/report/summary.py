"""The numbers of a sweep, once, for ``--json`` and for the page alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from yolosweep.diagnosis.curves import diverged
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.events import SweepResumed

__all__ = ["summary"]


def summary(history: History) -> dict[str, Any]:
    """Return what came out of a sweep as plain data; every number on the page is one of these."""
    ranked = history.ranked()
    best = ranked[0] if ranked else None
    base = history.baseline.score if history.baseline else None
    gain = _gain(history, best.score if best else None)
    ended = history.ended
    winner = _winner(history)
    return {
        "sweep": history.sweep,
        "name": history.experiment["name"],
        "status": ended.status if ended else "not ended",
        "reason": ended.reason if ended else None,
        "started_at": _moment(history.started.at),
        "ended_at": _moment(ended.at) if ended else None,
        "metric": history.metric,
        "mode": history.mode,
        "best_trial": best.request.trial if best else None,
        "best_score": best.score if best else None,
        "baseline_score": base,
        "gain": gain,
        "gain_percent": None if gain is None or not base else round(100 * gain / abs(base), 2),
        "verdict": _verdict(history, best, gain, winner),
        "winner": winner,
        "endings": dict(Counter(trial.status for trial in history.trials.values())),
        "epochs": sum(len(trial.rows) for trial in history.trials.values()),
        "seconds": round(sum(_seconds(trial) for trial in history.trials.values()), 1),
        "cost": _cost(history),
        "resumes": [_resume(event) for event in history.resumes],
        "caveats": list(history.dataset.caveats),
        "warnings": [*history.dataset.caveats, *_warnings(history)],
        "trials": [_trial(history, trial) for trial in history.trials.values()],
        "notes": [{"trial": note.trial, "text": note.text} for note in history.notes],
    }


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _gain(history: History, score: float | None) -> float | None:
    """Return how much better a score is than trial 0's; positive is better in both modes."""
    base = history.baseline.score if history.baseline else None
    if score is None or base is None:
        return None
    return round(score - base if history.mode == "max" else base - score, 6)


def _winner(history: History) -> dict[str, Any] | None:
    """Return the trial whose checkpoint was handed over, and the metric as validated again, per split."""
    if history.winner is None:
        return None
    trial, validations = history.winner.trial, history.winner.validations
    score = history.trials[trial].score
    return {
        "trial": trial,
        "score": score,
        "gain": _gain(history, score),
        "validated": {split: value.metrics.get(history.metric) for split, value in validations.items()},
    }


def _verdict(
    history: History, best: TrialHistory | None, gain: float | None, winner: Mapping[str, Any] | None = None
) -> str:
    if best is None:
        return "No trial gave a score." if history.ended else "No trial has a score yet."
    if gain is None:
        text = f"{best.request.trial} is best; the defaults gave no score to compare with."
    elif best.request.number == 0 or gain <= 0:
        text = "Keep the defaults: no trial was better."
    else:
        text = f"{best.request.trial} is better than the defaults by {gain:.4f}, measured once with one seed."
    if winner is not None and winner["trial"] != best.request.trial:
        text += f" The checkpoint handed over is {winner['trial']}'s, with {winner['score']:.4f}."
    return text if history.ended else f"So far: {text[0].lower() if text.startswith('Keep') else text[0]}{text[1:]}"


def _seconds(trial: TrialHistory) -> float:
    if trial.record is not None:
        return trial.record.seconds
    return sum(row.seconds or 0.0 for row in trial.rows)


def _cost(history: History) -> list[dict[str, Any]]:
    """Return trials, epochs and seconds per ending."""
    cost: dict[str, dict[str, Any]] = {}
    for trial in history.trials.values():
        line = cost.setdefault(trial.status, {"ending": trial.status, "trials": 0, "epochs": 0, "seconds": 0.0})
        line["trials"] += 1
        line["epochs"] += len(trial.rows)
        line["seconds"] = round(line["seconds"] + _seconds(trial), 1)
    return list(cost.values())


def _trial(history: History, trial: TrialHistory) -> dict[str, Any]:
    record = trial.record
    used = record.used if record else trial.request.asked
    last = trial.rows[-1] if trial.rows else None
    return {
        "trial": trial.request.trial,
        "number": trial.request.number,
        "ending": trial.status,
        "reason": record.reason if record else "",
        "score": trial.score,
        "gain": _gain(history, trial.score),
        "best_epoch": last.best_epoch if last else None,
        "epochs": len(trial.rows),
        "seconds": round(_seconds(trial), 1),
        "parameters": {name: used.get(name, value) for name, value in trial.request.asked.items()},
        "used": used,
        "ran_on": _ran_on(trial),
        "attempts": [
            {"from_epoch": event.from_epoch + 1, "cause": event.cause, "reason": event.reason}
            for event in trial.resumes
        ],
        "diverged": diverged(trial.rows, history.mode) if record else None,
        "notes": list(record.notes) if record else [],
        "error": record.error if record else None,
        "checkpoint": bool(record and "best.pt" in record.files and not trial.dropped),
    }


def _ran_on(trial: TrialHistory) -> dict[str, Any]:
    """Return what a trial ran on and how fast it was; without a record, what its request and its rows tell."""
    record = trial.record
    return {
        "host": (record.host or None) if record else None,
        "device": record.device if record else None,
        "world_size": record.world_size if record else trial.request.world_size,
        "threads": record.threads if record else None,
        "epoch_seconds": _told(trial, "epoch_seconds", "seconds", median),
        "images_per_s": _told(trial, "images_per_s", "images_per_s", median),
        "memory_mb": _told(trial, "memory_mb", "memory_mb", max),
        "gpu_memory_mb": _told(trial, "gpu_memory_mb", "gpu_memory_mb", max),
        "retries": trial.retries,
        "recoveries": record.recoveries if record else 0,
    }


def _told(trial: TrialHistory, name: str, of_row: str, folded: Callable[[list[float]], float]) -> float | None:
    """Return a value of the record, or what the rows' values come to."""
    known: float | None = getattr(trial.record, name, None)
    if known is None:
        values = [value for row in trial.rows if (value := getattr(row, of_row)) is not None]
        known = folded(values) if values else None
    return None if known is None else round(known, 4)


def _resume(event: SweepResumed) -> dict[str, Any]:
    """Return when a sweep was resumed, and what differed from before."""
    return {
        "at": _moment(event.at),
        "changes": {k: list(v) for k, v in event.changes.items()},
        "allowed": list(event.allowed),
    }


def _warnings(history: History) -> list[str]:
    """Return what makes scores hard to compare, one sentence each."""
    sizes: dict[int, list[str]] = {}
    for trial in history.ranked():
        size = trial.record.world_size if trial.record else trial.request.world_size
        sizes.setdefault(size, []).append(trial.request.trial)
    if len(sizes) < 2:
        return []
    listed = "; ".join(f"{size}: {_listed(sorted(names))}" for size, names in sorted(sizes.items()))
    return [
        "Ranked trials were trained with different numbers of ranks, and batch normalisation sees each rank's batch "
        f"alone, so their scores do not compare exactly ({listed})."
    ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
