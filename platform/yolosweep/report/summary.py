"""The numbers of a sweep, once, for ``--json`` and for the page alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from yolosweep.history import History, TrialHistory

__all__ = ["summary"]


def summary(history: History) -> dict[str, Any]:
    """Return what came out of a sweep as plain data; every number on the page is one of these."""
    ranked = history.ranked()
    best = ranked[0] if ranked else None
    base = history.baseline.score if history.baseline else None
    gain = _gain(history, best.score if best else None)
    ended = history.ended or {}
    winner = _winner(history)
    return {
        "sweep": history.sweep,
        "name": history.started["experiment"]["name"],
        "status": ended.get("status", "not ended"),
        "reason": ended.get("reason"),
        "started_at": history.started.get("at"),
        "ended_at": ended.get("at"),
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
        "trials": [_trial(history, trial) for trial in history.trials.values()],
        "notes": [{"trial": note.get("trial"), "text": note["text"]} for note in history.notes],
    }


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
    trial, validations = history.winner["trial"], history.winner["validations"]
    score = history.trials[trial].score
    return {
        "trial": trial,
        "score": score,
        "gain": _gain(history, score),
        "validated": {split: value["metrics"].get(history.metric) for split, value in validations.items()},
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
        "notes": list(record.notes) if record else [],
        "error": record.error if record else None,
        "checkpoint": bool(record and "best.pt" in record.files and not trial.dropped),
    }
