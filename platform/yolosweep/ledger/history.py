"""The ledger read back: events folded into what is known of a sweep. Decides nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from yolosweep.errors import RunFolderError
from yolosweep.ledger import RunFolder, read_events
from yolosweep.records import Checkpoint, EpochResult, PreparedDataset, TrialRecord, TrialRequest

__all__ = ["History", "TrialHistory"]


@dataclass
class TrialHistory:
    """What the ledger knows of one trial."""

    request: TrialRequest
    started_at: str
    rows: list[EpochResult] = field(default_factory=list)
    record: TrialRecord | None = None
    """None while it runs, or where the sweep died before it ended."""
    dropped: bool = False
    """Its checkpoints were deleted by retention."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """States it can go on from, oldest first; the trainer keeps the files of the last few."""
    verdict: str = "go_on"
    """What it was told after its last row."""
    attempts_log: list[dict[str, Any]] = field(default_factory=list)
    """``trial_resumed`` events: every time it was started again, why, and from which epoch."""

    @property
    def retries(self) -> int:
        """How often it was started again."""
        return max((int(event["attempt"]) for event in self.attempts_log), default=0)

    @property
    def stored_epoch(self) -> int:
        """The epoch it can go on after: that of its newest checkpoint; 0 without any."""
        return self.checkpoints[-1].epoch if self.checkpoints else 0

    @property
    def score(self) -> float | None:
        """Best score so far, over all endings."""
        return self.rows[-1].best_score if self.rows else None

    @property
    def status(self) -> str:
        """The ending, or ``running`` while there is none."""
        return self.record.ending.value if self.record else "running"


def _started(trials: dict[str, TrialHistory], event: dict[str, Any]) -> None:
    request = TrialRequest.model_validate(event["request"])
    trials[request.trial] = TrialHistory(request=request, started_at=event["at"])


def _row(trials: dict[str, TrialHistory], event: dict[str, Any]) -> None:
    trial = trials[event["trial"]]
    trial.rows.append(EpochResult.model_validate(event["row"]))
    trial.verdict = event.get("verdict", "go_on")
    if event.get("checkpoint"):
        trial.checkpoints.append(Checkpoint.model_validate(event["checkpoint"]))


def _resumed(trials: dict[str, TrialHistory], event: dict[str, Any]) -> None:
    """Cut back to where a trial goes on from: what it trained after that is trained, and recorded, again."""
    trial, epoch = trials[event["trial"]], int(event["from_epoch"])
    del trial.rows[epoch:]
    trial.checkpoints = [checkpoint for checkpoint in trial.checkpoints if checkpoint.epoch <= epoch]
    trial.record, trial.dropped, trial.verdict = None, False, "go_on"
    trial.attempts_log.append(event)
    if "batch" in event:
        trial.request = trial.request.model_copy(update={"lowered": int(event["batch"])})


def _ended(trials: dict[str, TrialHistory], event: dict[str, Any]) -> None:
    record = TrialRecord.model_validate(event["record"])
    trials[record.trial].record = record
    if record.checkpoint is not None:
        trials[record.trial].checkpoints.append(record.checkpoint)


def _dropped(trials: dict[str, TrialHistory], event: dict[str, Any]) -> None:
    trials[event["trial"]].dropped = True


_OF_TRIALS = {
    "trial_started": _started,
    "row": _row,
    "trial_resumed": _resumed,
    "trial_ended": _ended,
    "checkpoints_dropped": _dropped,
}


@dataclass
class History:
    """One sweep as its ledger tells it."""

    started: dict[str, Any] = field(default_factory=dict)
    """Payload of ``sweep_started``: sweep, experiment, dataset, versions, baseline, notes."""
    trials: dict[str, TrialHistory] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    winner: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None
    resumes: list[dict[str, Any]] = field(default_factory=list)
    """``sweep_resumed`` events: every time the sweep was taken up again."""
    active_seconds: float = 0.0
    """How long somebody worked on it: the pauses before it was taken up again are left out."""
    at: datetime | None = None
    """Time of the last event read."""
    seq: int = -1
    """Number of the last event read."""

    @classmethod
    def of(cls, folder: RunFolder) -> History:
        """Read a run folder's ledger.

        Raises:
            RunFolderError: the ledger is damaged or holds no sweep.
        """
        history = cls()
        history.extend(read_events(folder.ledger))
        if not history.started:
            raise RunFolderError(f"{folder.ledger} holds no sweep: it ended before its first event, or only begins")
        return history

    def extend(self, events: Iterable[dict[str, Any]]) -> None:
        """Fold further events in."""
        for event in events:
            self.add(event)

    def add(self, event: dict[str, Any]) -> None:
        """Fold one event in; unknown events of a later minor version are passed over."""
        kind, at = event["event"], datetime.fromisoformat(event["at"])
        if self.at is not None and kind != "sweep_resumed":
            self.active_seconds += (at - self.at).total_seconds()
        self.seq, self.at = event["seq"], at
        if kind in _OF_TRIALS:
            _OF_TRIALS[kind](self.trials, event)
        elif kind == "sweep_started":
            self.started = event
        elif kind == "sweep_resumed":
            self.resumes.append(event)
            self.started = {**self.started, "experiment": event["experiment"]}
            self.ended = None
        elif kind == "note":
            self.notes.append(event)
        elif kind == "winner":
            self.winner = event
        elif kind == "sweep_ended":
            self.ended = event

    @property
    def sweep(self) -> str:
        """The sweep's identifier."""
        return str(self.started["sweep"])

    @property
    def metric(self) -> str:
        """The metric trials are ranked by."""
        return str(self.started["experiment"]["search"]["metric"])

    @property
    def mode(self) -> str:
        """``max`` or ``min``."""
        return str(self.started["experiment"]["search"]["mode"])

    @property
    def dataset(self) -> PreparedDataset:
        """The data as of the last time the sweep was started or taken up again."""
        events = [self.started, *(event for event in self.resumes if "dataset" in event)]
        return PreparedDataset.model_validate(events[-1]["dataset"])

    @property
    def baseline(self) -> TrialHistory | None:
        """Trial 0: the defaults."""
        return next((trial for trial in self.trials.values() if trial.request.number == 0), None)

    def epochs(self) -> int:
        """Return how many epochs were trained in all trials."""
        return sum(len(trial.rows) for trial in self.trials.values())

    def epochs_left(self) -> int:
        """Return how many epochs the trials that have not ended may still train."""
        going = [trial for trial in self.trials.values() if trial.record is None]
        return sum(trial.request.epochs - len(trial.rows) for trial in going)

    def ranked(self) -> list[TrialHistory]:
        """Trials with a score, best first; ties go to the earlier trial."""
        sign = -1.0 if self.mode == "max" else 1.0
        scored = [(trial.score, trial) for trial in self.trials.values() if trial.score is not None]
        scored.sort(key=lambda pair: (sign * pair[0], pair[1].request.number))
        return [trial for _, trial in scored]
