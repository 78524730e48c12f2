"""The ledger read back: the only fold over its events. Decides nothing, writes nothing.

Whatever follows a sweep (searcher, pruner, trackers, live view) subscribes to it instead of folding events itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatchmethod
from typing import Any

from yolosweep.errors import RunFolderError
from yolosweep.ledger.journal import read_events
from yolosweep.ledger.run_folder import RunFolder
from yolosweep.records import Checkpoint, EpochResult, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.records.events import (
    CheckpointsDropped,
    EpochRecorded,
    Event,
    Note,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
    WinnerSelected,
)
from yolosweep.records.objectives import Objective, Select, Standing, Values, standing

__all__ = ["History", "TrialHistory"]


@dataclass
class TrialHistory:
    """What the ledger knows of one trial."""

    request: TrialRequest
    started_at: datetime
    rows: list[EpochResult] = field(default_factory=list)
    record: TrialRecord | None = None
    """None while it runs, or where the sweep died before it ended."""
    dropped: bool = False
    """Its checkpoints were deleted by retention."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """States it can resume from, oldest first; the trainer keeps the files of the last few."""
    verdict: Verdict = Verdict.CONTINUE
    """The answer to its last row."""
    reason: str | None = None
    """Why the pruner stopped it after its last row."""
    resumes: list[TrialResumed] = field(default_factory=list)
    """Every time it was started again, why, and from which epoch."""
    seconds: float = 0.0
    """What its rows took together, as far as they were measured."""
    timed: int = 0
    """Rows that were measured."""

    def count(self, row: EpochResult, sign: int = 1) -> None:
        """Add the duration of a row, or take it away."""
        if row.seconds is not None:
            self.seconds, self.timed = self.seconds + sign * row.seconds, self.timed + sign

    @property
    def retries(self) -> int:
        """How often it was started again."""
        return max((event.attempt for event in self.resumes), default=0)

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


@dataclass
class History:
    """One sweep as its ledger tells it.

    Args:
        listeners: called with each event right after it was folded in.
    """

    listeners: tuple[Callable[[Event], None], ...] = ()
    trials: dict[str, TrialHistory] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    winner: WinnerSelected | None = None
    ended: SweepEnded | None = None
    """None while the sweep runs, or where it died; a sweep that is resumed runs again."""
    resumes: list[SweepResumed] = field(default_factory=list)
    """Every time the sweep was resumed."""
    active_seconds: float = 0.0
    """How long a process worked on it: the pauses before it was resumed are left out."""
    at: datetime | None = None
    """Time of the last event read."""
    seq: int = -1
    """Number of the last event read."""
    _started: SweepStarted | None = None
    _standing: Standing | None = None
    """As of the last event; None until it is asked for."""

    @classmethod
    def of(cls, folder: RunFolder) -> History:
        """Read a run folder's ledger.

        Raises:
            RunFolderError: the ledger is damaged or holds no sweep.
        """
        history = cls()
        history.extend(read_events(folder.ledger))
        if not history.has_begun:
            raise RunFolderError(f"{folder.ledger} holds no sweep: it ended before its first event, or only begins")
        return history

    def extend(self, events: Iterable[Event]) -> None:
        """Fold further events in."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Fold one event in and pass it on to the listeners; unknown events of a later minor version are passed over.

        Raises:
            RunFolderError: the event names a trial that was never started.
        """
        if self.at is not None and not isinstance(event, SweepResumed):
            self.active_seconds += (event.at - self.at).total_seconds()
        self.seq, self.at, self._standing = event.seq, event.at, None
        self._fold(event)
        for listener in self.listeners:
            listener(event)

    @singledispatchmethod
    def _fold(self, event: Event) -> None:
        """Change what is known by an event; most kinds have a method of their own below."""

    @_fold.register
    def _(self, event: SweepStarted) -> None:
        self._started = event

    @_fold.register
    def _(self, event: SweepResumed) -> None:
        self.resumes.append(event)
        self.ended = None

    @_fold.register
    def _(self, event: Note) -> None:
        self.notes.append(event)

    @_fold.register
    def _(self, event: WinnerSelected) -> None:
        self.winner = event

    @_fold.register
    def _(self, event: SweepEnded) -> None:
        self.ended = event

    @_fold.register
    def _(self, event: TrialStarted) -> None:
        self.trials[event.request.trial] = TrialHistory(request=event.request, started_at=event.at)

    @_fold.register
    def _(self, event: EpochRecorded) -> None:
        trial = self._trial(event.trial)
        trial.rows.append(event.row)
        trial.count(event.row)
        trial.verdict, trial.reason = event.verdict, event.reason
        if event.checkpoint is not None:
            trial.checkpoints.append(event.checkpoint)

    @_fold.register
    def _(self, event: TrialResumed) -> None:
        """Cut back to where a trial resumes: what it trained after that is trained, and recorded, again."""
        trial = self._trial(event.trial)
        for row in trial.rows[event.from_epoch :]:
            trial.count(row, -1)
        del trial.rows[event.from_epoch :]
        trial.checkpoints = [checkpoint for checkpoint in trial.checkpoints if checkpoint.epoch <= event.from_epoch]
        trial.record, trial.dropped, trial.verdict, trial.reason = None, False, Verdict.CONTINUE, None
        trial.resumes.append(event)
        if event.batch is not None:
            trial.request = trial.request.model_copy(update={"lowered": event.batch})

    @_fold.register
    def _(self, event: TrialEnded) -> None:
        trial = self._trial(event.record.trial)
        trial.record = event.record
        if event.record.checkpoint is not None:
            trial.checkpoints.append(event.record.checkpoint)

    @_fold.register
    def _(self, event: CheckpointsDropped) -> None:
        self._trial(event.trial).dropped = True

    def _trial(self, name: str) -> TrialHistory:
        if name not in self.trials:
            raise RunFolderError(
                f"the ledger is damaged: event {self.seq} names the trial {name[:80]!r}, which was never started; "
                "restore the run folder from a copy"
            )
        return self.trials[name]

    @property
    def has_begun(self) -> bool:
        """Whether the sweep's first event was read."""
        return self._started is not None

    @property
    def started(self) -> SweepStarted:
        """The sweep's first event.

        Raises:
            RunFolderError: it was not read yet.
        """
        if self._started is None:
            raise RunFolderError("the ledger holds no sweep: it ended before its first event, or only begins")
        return self._started

    @property
    def experiment(self) -> dict[str, Any]:
        """The resolved experiment, dumped, as of the last time the sweep was started or resumed."""
        return (self.resumes[-1] if self.resumes else self.started).experiment

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages as of the last time the sweep was started or resumed."""
        return (self.resumes[-1] if self.resumes else self.started).versions

    @property
    def sweep(self) -> str:
        """The sweep's identifier."""
        return self.started.sweep

    @property
    def metric(self) -> str:
        """The metric trials are ranked by."""
        return str(self.experiment["search"]["metric"])

    @property
    def mode(self) -> str:
        """``max`` or ``min``."""
        return str(self.experiment["search"]["mode"])

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the search is for, the metric that ranks trials first."""
        try:
            asked = [Objective.model_validate(one) for one in self.experiment["search"].get("objectives") or ()]
        except (TypeError, ValueError) as error:
            raise RunFolderError("the ledger is damaged: its search.objectives are none; restore a copy") from error
        return tuple(asked) or (Objective.model_validate({"metric": self.metric, "mode": self.mode}),)

    @property
    def select(self) -> Select:
        """How the winner is selected among several objectives."""
        return "knee" if self.experiment["search"].get("select") == "knee" else "first"

    @property
    def dataset(self) -> PreparedDataset:
        """The data as of the last time the sweep was started or resumed."""
        resumed = [event.dataset for event in self.resumes if event.dataset is not None]
        return resumed[-1] if resumed else self.started.dataset

    @property
    def baseline(self) -> TrialHistory | None:
        """Trial 0: the defaults."""
        return next((trial for trial in self.trials.values() if trial.request.number == 0), None)

    @property
    def searched(self) -> list[TrialHistory]:
        """The trials that the search suggested: all but the repeats of the finals."""
        return [trial for trial in self.trials.values() if trial.request.repeats is None]

    def repeats(self, trial: str | None = None) -> list[TrialHistory]:
        """Return the repeats of a trial; None: of all trials."""
        found = [one for one in self.trials.values() if one.request.repeats is not None]
        return [one for one in found if trial in (None, one.request.repeats)]

    def epochs(self) -> int:
        """Return how many epochs were trained in all trials."""
        return sum(len(trial.rows) for trial in self.trials.values())

    def epochs_left(self) -> int:
        """Return how many epochs the trials that have not ended may still train."""
        going = [trial for trial in self.trials.values() if trial.record is None]
        return sum(trial.request.epochs - len(trial.rows) for trial in going)

    def trainings(self, *, planned: bool = False) -> float:
        """Return how much was trained, in whole trainings of trial 0: by seconds, and by epochs until it was measured.

        Args:
            planned: count what the trials that have not ended may still train, too.
        """
        base = self.baseline
        if base is None:
            return 0.0
        unit = base.seconds / base.timed if base.timed and base.seconds > 0 else None

        def epochs(trial: TrialHistory) -> float:
            speed = 1.0 if unit is None or not trial.timed else trial.seconds / trial.timed / unit
            goes_on = planned and trial.record is None
            return speed * (trial.request.epochs if goes_on else len(trial.rows))

        return sum(map(epochs, self.trials.values())) / base.request.epochs

    def values(self, trial: TrialHistory) -> Values:
        """Return the value of each objective; of a trial that runs, its score alone is known."""
        return _values(trial, self.objectives)

    @property
    def standing(self) -> Standing:
        """How the searched trials stand that have a score."""
        if self._standing is None:
            scored = sorted((one for one in self.searched if one.score is not None), key=lambda one: one.request.number)
            objectives = self.objectives
            values = {trial.request.trial: _values(trial, objectives) for trial in scored}
            self._standing = standing(objectives, self.select, values)
        return self._standing

    def ranked(self) -> list[TrialHistory]:
        """Searched trials with a score, best first by the stated rule; ties go to the earlier trial.

        Those outside of a limit come last.
        """
        return [self.trials[name] for name in self.standing.ranking]

    @property
    def eligible(self) -> list[TrialHistory]:
        """The ranked trials that may be selected: those within all limits."""
        return [self.trials[name] for name in self.standing.ranking if name not in self.standing.outside]

    @property
    def front(self) -> list[TrialHistory]:
        """The trials on the Pareto front, best score first; empty with one objective."""
        return [self.trials[name] for name in self.standing.front]


def _values(trial: TrialHistory, objectives: tuple[Objective, ...]) -> Values:
    found = trial.record.objectives if trial.record is not None else {}
    return (trial.score, *(found.get(one.metric) for one in objectives[1:]))
