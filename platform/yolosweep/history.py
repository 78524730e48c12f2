"""The ledger read back: events folded into what is known of a sweep. Decides nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from yolosweep.errors import RunFolderError
from yolosweep.ledger import RunFolder, read_events
from yolosweep.records import EpochRow, TrialRecord, TrialRequest

__all__ = ["History", "TrialHistory"]


@dataclass
class TrialHistory:
    """What the ledger knows of one trial."""

    request: TrialRequest
    started_at: str
    rows: list[EpochRow] = field(default_factory=list)
    record: TrialRecord | None = None
    """None while it runs, or where the sweep died before it ended."""
    dropped: bool = False
    """Its checkpoints were deleted by retention."""

    @property
    def score(self) -> float | None:
        """Best score so far, over all endings."""
        return self.rows[-1].best_score if self.rows else None

    @property
    def status(self) -> str:
        """The ending, or ``running`` while there is none."""
        return self.record.ending.value if self.record else "running"


@dataclass
class History:
    """One sweep as its ledger tells it."""

    started: dict[str, Any] = field(default_factory=dict)
    """Payload of ``sweep_started``: sweep, experiment, dataset, versions, baseline, notes."""
    trials: dict[str, TrialHistory] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    winner: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None
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
            raise RunFolderError(f"{folder.ledger} holds no sweep: it stopped before anything was recorded")
        return history

    def extend(self, events: Iterable[dict[str, Any]]) -> None:
        """Fold further events in."""
        for event in events:
            self.add(event)

    def add(self, event: dict[str, Any]) -> None:
        """Fold one event in; unknown events of a later minor version are passed over."""
        self.seq = event["seq"]
        kind = event["event"]
        if kind == "sweep_started":
            self.started = event
        elif kind == "trial_started":
            request = TrialRequest.model_validate(event["request"])
            self.trials[request.trial] = TrialHistory(request=request, started_at=event["at"])
        elif kind == "row":
            self.trials[event["trial"]].rows.append(EpochRow.model_validate(event["row"]))
        elif kind == "trial_ended":
            record = TrialRecord.model_validate(event["record"])
            self.trials[record.trial].record = record
        elif kind == "checkpoints_dropped":
            self.trials[event["trial"]].dropped = True
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
    def baseline(self) -> TrialHistory | None:
        """Trial 0: the defaults."""
        return next((trial for trial in self.trials.values() if trial.request.number == 0), None)

    def ranked(self) -> list[TrialHistory]:
        """Trials with a score, best first; ties go to the earlier trial."""
        sign = -1.0 if self.mode == "max" else 1.0
        scored = [(trial.score, trial) for trial in self.trials.values() if trial.score is not None]
        scored.sort(key=lambda pair: (sign * pair[0], pair[1].request.number))
        return [trial for _, trial in scored]
