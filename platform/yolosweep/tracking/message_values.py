"""The values that messages carry: headline and table of a sweep, settings and summary of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yolosweep.ledger.history import History
from yolosweep.ledger.trial_summary import summarize_trial
from yolosweep.records import EpochResult, TrialRecord
from yolosweep.records.events import TrialResumed
from yolosweep.records.footprint import FOOTPRINTS
from yolosweep.records.trial_columns import columns_of

__all__ = ["headline_of", "resumption_of", "settings_of", "summary_of", "table_of"]


def headline_of(history: History, records: Mapping[str, TrialRecord]) -> dict[str, Any]:
    """Return the best trial so far: its score, gain over the defaults and settings.

    Args:
        history: the sweep.
        records: last ending of each trial. A trial that was resumed since counts, so that the best score never drops.
    """
    ended = sum(trial.record is not None for trial in history.trials.values())
    headline: dict[str, Any] = {"trials_ended": ended}
    searched = [record for record in records.values() if history.trials[record.trial].request.repeats is None]
    scored = [record for record in searched if record.score is not None]
    limits = [one for one in history.objectives if one.limit is not None]
    scored = [record for record in scored if all(one.is_met(record.objectives.get(one.metric)) for one in limits)]
    if not scored:
        return headline
    best = min(scored, key=lambda record: (-_sign(history) * (record.score or 0.0), record.number))
    gain = _gain(history, records, best.score)
    headline |= {"best_score": best.score, "best_trial": best.trial, "gain_over_defaults": gain}
    return headline | {f"best/{name}": value for name, value in best.used.items() if name in best.asked}


def table_of(history: History, run_of: Callable[[str], str]) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """Return the columns and rows of the table of ended trials.

    Args:
        history: the sweep.
        run_of: gives the id of a trial's tracked run.
    """
    ended = sorted((t for t in history.trials.values() if t.record), key=lambda trial: trial.request.number)
    trials = [summarize_trial(history, trial) for trial in ended]
    columns = columns_of("tracker", trials, metric=history.metric)
    rows = tuple((*(column.value(trial) for column in columns), run_of(trial.trial)) for trial in trials)
    return (*(column.name for column in columns), "run"), rows


def _sign(history: History) -> float:
    return -1.0 if history.mode == "min" else 1.0


def _gain(history: History, records: Mapping[str, TrialRecord], score: float | None) -> float | None:
    default = next((record.score for record in records.values() if record.number == 0), None)
    return None if score is None or default is None else _sign(history) * (score - default)


def settings_of(record: TrialRecord) -> dict[str, Any]:
    """Return what a trial really used, and what it ran on."""
    ran_on = {
        "device": record.device,
        "host": record.host or None,
        "world_size": record.world_size,
        "threads": record.threads,
    }
    return {**record.used, **{key: value for key, value in ran_on.items() if value is not None}}


def summary_of(record: TrialRecord) -> dict[str, Any]:
    """Return the headline values of an ended trial; what was not measured is left out.

    Medians and peaks have names of their own, because W&B keeps the last row's value under a row's name.
    """
    summary: dict[str, Any] = {
        "best_score": record.score,
        "best_epoch": record.best_epoch,
        "epochs": record.epochs,
        "ending": record.ending.value,
        "reason": record.reason,
        "cause": record.cause.value if record.cause else None,
        "error": record.error,
        "notes": " | ".join(record.notes) or None,
        "retries": record.retries,
        "recoveries": record.recoveries,
        "median_epoch_seconds": record.epoch_seconds,
        "median_images_per_s": record.images_per_s,
        "peak_memory_mb": record.memory_mb,
        "peak_gpu_memory_mb": record.gpu_memory_mb,
    }
    summary |= {name if name in FOOTPRINTS else f"best/{name}": value for name, value in record.objectives.items()}
    if record.footprint is not None and "latency_ms" in record.objectives:
        summary["latency_spread_ms"] = record.footprint.latency_spread_ms
    if (best := record.files.get("best.pt")) is not None:
        summary |= {"checkpoint_path": best.path, "checkpoint_sha256": best.sha256, "checkpoint_bytes": best.size}
    return {key: value for key, value in summary.items() if value is not None}


def resumption_of(event: TrialResumed, ended: TrialRecord | None) -> dict[str, Any]:
    """Return the headline values of a trial that is resumed: the cause, and None for each value of its ending.

    Args:
        event: the ledger event.
        ended: the record that no longer holds; None where the trial had not ended.
    """
    stale = summary_of(ended).keys() - EpochResult.model_fields.keys() if ended else ()
    why = f"{event.cause}, from epoch {event.from_epoch + 1}: {event.reason}"
    return {**dict.fromkeys(sorted(stale)), "retries": event.attempt, "last_retry": why}
