"""Which messages each ledger event gives rise to: pure, and on top of the ledger's own fold.

The messages of an event depend only on the events before it, so a ledger that is read in one piece, in many, or twice
gives the same messages. What was sent is one number per tracked run: the last event that is known to have arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatchmethod
from typing import Any, Literal

from yolosweep.ledger import RunFolder, read_events
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
from yolosweep.tracking.message_values import headline_of, resumption_of, settings_of, summary_of, table_of
from yolosweep.tracking.sink import Artifact, Close, Message, Open, Outcome, Row, Summary, Table
from yolosweep.tracking.winner_values import classes_of, winner_of

__all__ = ["Planner", "section_of"]

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
_OF_NOW = {"verdict_text", "verdict_details"}
"""What a model cannot keep: before the sweep has ended, a verdict begins with "So far"."""
_OF_DATA = {"task", "names", "images", "fingerprint", "labels_digest", "leaks", "same_source"}
_PICTURES = ("winner/plots/val/", "winner/plots/test/", "winner/worst/")
"""Folders of pictures that are sent; trial 0's plots and the page of mistakes stay in the run folder."""


_UNSET = Open.at


def section_of(folder: RunFolder, sink: str) -> dict[str, Any]:
    """Return a sink's section of ``track`` as of the first time a run's experiment had one; empty if it never had.

    Raises:
        RunFolderError: the ledger is damaged.
    """
    setups = (event for event in read_events(folder.ledger) if isinstance(event, (SweepStarted, SweepResumed)))
    sections = ((event.experiment.get("track") or {}).get(sink) for event in setups)
    return next((section for section in sections if section), {})


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
        self._winner_keys = set[str]()
        """Names of the values sent of all winners so far: a later winner removes those it does not have."""

    def add(self, event: Event) -> list[Message]:
        """Fold one event in and return its messages; some kinds of events have none.

        Raises:
            RunFolderError: the ledger is damaged.
        """
        self.history.add(event)
        if not self.history.has_begun:
            return []
        fresh = self._messages(event)
        messages = [message if message.at > _UNSET else replace(message, at=event.at) for message in fresh]
        self.opened |= {message.run: message for message in messages if isinstance(message, Open)}
        return messages

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
            mode="json", include={"task", "images", "fingerprint", "leaks", "same_source", "same_scene", "allowed"}
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
            **request.asked,
            **request.settings,
            "task": request.task,
            "model": request.asked.get("model", request.model),
            "asked": request.asked,
            "world_size": request.world_size,
            "dataset_fingerprint": dataset.fingerprint,
            "dataset_leaks": dict(dataset.leaks),
            "dataset_same_source": dict(dataset.same_source),
            "dataset_same_scene": dict(dataset.same_scene),
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
        run, seq, file, values = self._sweep_run, event.seq, event.file, winner_of(self.history)
        stale = dict.fromkeys(sorted(self._winner_keys - values.keys()))
        self._winner_keys |= values.keys()
        lasting = {name: value for name, value in values.items() if name not in _OF_NOW}
        metadata = {**lasting, "trial_run": self._run(event.trial), "dataset_fingerprint": event.data_fingerprint}
        metadata |= {"sha256": file.sha256, "size": file.size}
        name = f"{self.history.sweep}-best"
        data = self.history.dataset.model_dump(mode="json", include=_OF_DATA)
        columns, rows = classes_of(self.history)
        table = [Table(run=run, seq=seq, step=seq, name="classes", columns=columns, rows=rows)] if rows else []
        pictures = tuple(one for one in event.pictures if one.path.startswith(_PICTURES))
        return [
            *self._reopening(run, seq),
            Summary(run=run, seq=seq, values={**values, **stale}),
            Artifact(run=run, seq=seq, name=name, file=file, metadata=metadata, dataset=data, pictures=pictures),
            *table,
        ]

    @_messages.register
    def _(self, event: SweepEnded) -> list[Message]:
        run, seq, status = self._sweep_run, event.seq, event.status
        headline, winner = headline_of(self.history, self._records), winner_of(self.history)
        best = {"trials_ended": headline["trials_ended"], **winner} if winner else headline
        columns, rows = table_of(self.history, self._run)
        close = Close(
            run=run,
            seq=seq,
            outcome=_SWEEP_OUTCOMES.get(status, "finished"),
            tags=(*self._tags, status) if status else self._tags,
            summary={**best, "status": status, "reason": event.reason},
        )
        messages = [*self._reopening(run, seq), Table(run=run, seq=seq, step=seq, columns=columns, rows=rows), close]
        self._open.discard(run)
        return messages
