"""Which messages each ledger event gives rise to: pure, and on top of the ledger's own fold.

The messages of an event depend only on the events before it, so a ledger that is read in one piece, in many, or twice
gives the same messages. What was sent is one number per tracked run: the last event that is known to have arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatchmethod
from typing import Any, Literal

from yolosweep.ledger.history import History
from yolosweep.records import Ending, TrialRecord, TrialRequest
from yolosweep.records.events import (
    EpochRecorded,
    Event,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
    WinnerSelected,
)
from yolosweep.tracking.message_values import headline_of, resumption_of, settings_of, summary_of, table_of, verdict_of
from yolosweep.tracking.sink import Artifact, Close, Message, Open, Outcome, Row, Summary, Table

__all__ = ["Planner"]

_OUTCOMES: dict[Ending, Outcome] = {
    Ending.FINISHED: "finished",
    Ending.PATIENCE: "finished",
    Ending.PRUNED: "finished",
    Ending.CANCELLED: "cancelled",
}
_SWEEP_OUTCOMES: dict[str, Outcome] = {
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "interrupted": "cancelled",
}


class Planner:
    """Turns the events of one ledger into messages for one sink.

    Args:
        sink: the sink's name, which is the key of its section in the experiment's ``track``.
        run_id: gives the id of a tracked run, from the sweep's identifier and a trial (or ``sweep``).
    """

    def __init__(self, sink: str, run_id: Callable[[str, str], str]) -> None:
        self.history = History()
        self.section: dict[str, Any] | None = None
        """The sink's section, as of the first time the experiment had one: runs stay where they were sent first."""
        self.opened: dict[str, Open] = {}
        """How to open each run, also one whose start was sent long ago."""
        self._sink, self._run_id = sink, run_id
        self._tags: tuple[str, ...] = ()
        self._open: set[str] = set()
        self._epochs: dict[str, int] = {}
        """Last epoch sent of each trial: an epoch that is trained again is not sent again."""
        self._records: dict[str, TrialRecord] = {}
        """Last ending of each trial, also of one that was resumed since, which the history forgets."""

    def add(self, event: Event) -> list[Message]:
        """Fold one event in and return its messages; some kinds of events have none.

        Raises:
            RunFolderError: the ledger is damaged.
        """
        self.history.add(event)
        return self._messages(event) if self.history.has_begun else []

    @property
    def ended(self) -> bool:
        """The sweep ended and was not resumed."""
        return self.history.ended is not None

    @singledispatchmethod
    def _messages(self, event: Event) -> list[Message]:
        """Return the messages of an event; the kinds that have any have a method of their own below."""
        return []

    @_messages.register
    def _(self, event: SweepStarted) -> list[Message]:
        return [self._open_sweep(event)]

    @_messages.register
    def _(self, event: SweepResumed) -> list[Message]:
        stale = {} if self._sweep_run in self._open else {"status": None, "reason": None}
        values = {**stale, "resumes": len(self.history.resumes)}
        return [self._open_sweep(event), Summary(run=self._sweep_run, seq=event.seq, values=values)]

    @property
    def _sweep_run(self) -> str:
        return self._run("sweep")

    def _run(self, part: str) -> str:
        return self._run_id(self.history.sweep, part)

    def _open_sweep(self, event: SweepStarted | SweepResumed) -> Open:
        """Open the sweep's run as its newest event describes it."""
        section = (event.experiment.get("track") or {}).get(self._sink)
        if section:
            self.section = self.section or section
            self._tags = tuple(section.get("tags") or ())
        dataset = self.history.dataset.model_dump(
            mode="json", include={"task", "images", "fingerprint", "leaks", "same_source", "allowed"}
        )
        config = {"experiment": event.experiment, "dataset": dataset, "versions": event.versions}
        return self._opening("sweep", event.seq, name=self.history.sweep, kind="sweep", config=config)

    def _opening(
        self, part: str, seq: int, *, name: str, kind: Literal["sweep", "trial"], config: dict[str, Any]
    ) -> Open:
        run, sweep = self._run(part), self.history.sweep
        opening = Open(run=run, seq=seq, name=name, kind=kind, sweep=sweep, tags=self._tags, config=config)
        self.opened[run] = opening
        self._open.add(run)
        return opening

    def _reopening(self, run: str, seq: int) -> list[Message]:
        """Return the message that reopens a closed run; none where it is open."""
        if run in self._open:
            return []
        self._open.add(run)
        self.opened[run] = replace(self.opened[run], seq=seq, tags=self._tags)
        return [self.opened[run]]

    @_messages.register
    def _(self, event: TrialStarted) -> list[Message]:
        trial = event.request.trial
        return [self._opening(trial, event.seq, name=trial, kind="trial", config=self._config(event.request))]

    def _config(self, request: TrialRequest) -> dict[str, Any]:
        dataset = self.history.dataset
        return {
            **request.settings,
            "task": request.task,
            "model": request.model,
            "asked": request.asked,
            "world_size": request.world_size,
            "dataset_fingerprint": dataset.fingerprint,
            "dataset_leaks": dict(dataset.leaks),
            "dataset_same_source": dict(dataset.same_source),
            "yolosweep": {
                "sweep": self.history.sweep,
                "number": request.number,
                **({"repeats": request.repeats} if request.repeats is not None else {}),
                "identity": request.identity,
                "metric": request.metric,
                "mode": request.mode,
            },
        }

    @_messages.register
    def _(self, event: EpochRecorded) -> list[Message]:
        row, run = event.row, self._run(event.trial)
        if row.epoch <= self._epochs.get(event.trial, 0):
            return []
        self._epochs[event.trial] = row.epoch
        measured = {**row.metrics, **row.model_dump(exclude={"metrics"})}
        values = {key: value for key, value in measured.items() if value is not None}
        return [*self._reopening(run, event.seq), Row(run=run, seq=event.seq, step=row.epoch, values=values)]

    @_messages.register
    def _(self, event: TrialResumed) -> list[Message]:
        run = self._run(event.trial)
        ended = None if run in self._open else self._records.get(event.trial)
        values = resumption_of(event, ended)
        return [*self._reopening(run, event.seq), Summary(run=run, seq=event.seq, values=values)]

    @_messages.register
    def _(self, event: TrialEnded) -> list[Message]:
        record, seq, run = event.record, event.seq, self._run(event.record.trial)
        self._records[record.trial] = record
        outcome = _OUTCOMES.get(record.ending, "failed")
        tags, settings, summary = (*self._tags, record.ending.value), settings_of(record), summary_of(record)
        close = Close(run=run, seq=seq, outcome=outcome, tags=tags, config=settings, summary=summary)
        messages = [*self._reopening(run, seq), close]
        self._open.discard(run)
        row = {**headline_of(self.history, self._records), "score": record.score, "ledger_seq": seq}
        values = {key: value for key, value in row.items() if value is not None}
        messages += self._reopening(self._sweep_run, seq)
        return [*messages, Row(run=self._sweep_run, seq=seq, step=seq, values=values)]

    @_messages.register
    def _(self, event: WinnerSelected) -> list[Message]:
        run, seq, file, values = self._sweep_run, event.seq, event.file, self._winner()
        metadata = {**values, "trial_run": self._run(event.trial), "sha256": file.sha256, "size": file.size}
        name = f"{self.history.sweep}-best"
        return [
            *self._reopening(run, seq),
            Summary(run=run, seq=seq, values=values),
            Artifact(run=run, seq=seq, name=name, file=file, metadata=metadata),
        ]

    def _winner(self) -> dict[str, Any]:
        winner = self.history.winner
        if winner is None:
            return {}
        caveats = {"caveats": " | ".join(winner.caveats)} if winner.caveats else {}
        return {"winner": winner.trial, "winner_score": winner.score, **caveats, **verdict_of(self.history)}

    @_messages.register
    def _(self, event: SweepEnded) -> list[Message]:
        run, seq, status = self._sweep_run, event.seq, event.status
        headline = headline_of(self.history, self._records)
        columns, rows = table_of(self.history, self._run)
        close = Close(
            run=run,
            seq=seq,
            outcome=_SWEEP_OUTCOMES.get(status, "finished"),
            tags=(*self._tags, status) if status else self._tags,
            summary={**headline, **self._winner(), "status": status, "reason": event.reason},
        )
        messages = [*self._reopening(run, seq), Table(run=run, seq=seq, step=seq, columns=columns, rows=rows), close]
        self._open.discard(run)
        return messages
