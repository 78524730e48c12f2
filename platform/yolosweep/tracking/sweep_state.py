"""How the trials of a sweep stand, in the words of W&B: the sweep's headline and table, a trial's last values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yolosweep.records import EpochResult, TrialRecord
from yolosweep.records.events import TrialResumed

__all__ = ["SweepState", "config_of", "going_on", "summary_of"]


class SweepState:
    """The records of the trials so far, and what the sweep's own run says of them."""

    def __init__(self) -> None:
        self.sign = 1.0
        """-1 where less is better."""
        self._records: dict[str, TrialRecord] = {}
        self._going: set[str] = set()
        self._dropped: set[str] = set()

    def start(self, trial: str) -> None:
        """Forget what was known of a trial."""
        self._records.pop(trial, None)
        self._going.discard(trial)
        self._dropped.discard(trial)

    def go_on(self, trial: str) -> TrialRecord | None:
        """Take note that a trial goes on; return the ending that does not hold any more, if it had one.

        Its score still counts for the best so far: that must not drop because a trial is taken up again.
        """
        before = None if trial in self._going else self._records.get(trial)
        self._going.add(trial)
        self._dropped.discard(trial)
        return before

    def end(self, record: TrialRecord) -> None:
        """Take how a trial ended."""
        self._records[record.trial] = record
        self._going.discard(record.trial)

    def drop(self, trial: str) -> None:
        """Take note that a trial's checkpoints were deleted."""
        self._dropped.add(trial)

    def headline(self) -> dict[str, Any]:
        """Return the best so far, its gain over the defaults and its settings."""
        headline: dict[str, Any] = {"trials_ended": len(self._records.keys() - self._going)}
        if (best := self._best()) is not None:
            headline |= {
                "best_score": best.score,
                "best_trial": best.trial,
                "gain_over_defaults": self._gain(best.score),
            }
            headline |= {f"best/{name}": value for name, value in best.used.items() if name in best.asked}
        return headline

    def table(self, run_of: Callable[[str], str]) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        """Return the columns and rows of the table of ended trials.

        Args:
            run_of: gives the W&B run id of a trial.
        """
        ended = [record for record in self._records.values() if record.trial not in self._going]
        records = sorted(ended, key=lambda record: record.number)
        names = sorted({name for record in records for name in record.asked})
        columns = ("trial", "ending", "best_score", "gain_over_defaults", "best_epoch", "epochs", "seconds")
        rows = []
        for record in records:
            told = (record.trial, record.ending.value, record.score, self._gain(record.score))
            counted = (record.best_epoch, record.epochs, record.seconds, record.retries, record.recoveries)
            settings = (record.used.get(name, record.asked.get(name)) for name in names)
            kept = "best.pt" in record.files and record.trial not in self._dropped
            file = record.files["best.pt"].path if kept else None
            rows.append((*told, *counted, *settings, file, run_of(record.trial)))
        return (*columns, "retries", "recoveries", *names, "checkpoint", "run"), tuple(rows)

    def _best(self) -> TrialRecord | None:
        scored = [record for record in self._records.values() if record.score is not None]
        return min(scored, key=lambda record: (-self.sign * (record.score or 0.0), record.number), default=None)

    def _gain(self, score: float | None) -> float | None:
        default = next((record.score for record in self._records.values() if record.number == 0), None)
        return None if score is None or default is None else self.sign * (score - default)


def config_of(record: TrialRecord) -> dict[str, Any]:
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

    Medians and peaks have names of their own: W&B keeps the last row's value under a row's name.
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
    if (best := record.files.get("best.pt")) is not None:
        summary |= {"checkpoint_path": best.path, "checkpoint_sha256": best.sha256, "checkpoint_bytes": best.size}
    return {key: value for key, value in summary.items() if value is not None}


def going_on(before: TrialRecord | None, event: TrialResumed) -> dict[str, Any]:
    """Return the headline values of a trial that goes on: why, and nothing of the ending it had.

    Args:
        before: the record that does not hold any more; None where it had not ended.
        event: the ledger's ``trial_resumed``.
    """
    stale = summary_of(before).keys() - EpochResult.model_fields.keys() if before else ()
    why = f"{event.cause}, from epoch {event.from_epoch + 1}: {event.reason}"
    return {**dict.fromkeys(sorted(stale)), "retries": event.attempt, "last_retry": why}
