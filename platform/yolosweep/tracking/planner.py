"""Pure core of the mirror: which messages each ledger event gives rise to.

What an event says depends on the events before it alone, so a ledger read in one piece, in many, or twice over gives
the same messages. What was sent is one number per W&B run: the last event that is known to have arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatchmethod
from typing import Any

from yolosweep.records import Ending, TrialRequest
from yolosweep.records.events import (
    CheckpointsDropped,
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
from yolosweep.tracking.messages import Artifact, Close, Message, Open, Row, Summary, Table, run_id
from yolosweep.tracking.sweep_state import SweepState, config_of, going_on, summary_of

__all__ = ["Planner", "plan"]

_EXIT_CODES = {Ending.FINISHED: 0, Ending.PATIENCE: 0, Ending.PRUNED: 0, Ending.CANCELLED: 255}
_SWEEP_EXIT_CODES = {"failed": 1, "error": 1, "cancelled": 255, "interrupted": 255}


def plan(events: Iterable[Event], sent: Mapping[str, int]) -> list[Message]:
    """Return what is still to be sent.

    Args:
        events: the ledger from its first event on.
        sent: for each W&B run id the number of the last event that arrived.
    """
    planner = Planner()
    messages = [message for event in events for message in planner.add(event)]
    return [message for message in messages if message.seq > sent.get(message.run, -1)]


class Planner:
    """The fold behind ``plan``, for a ledger that is still being written."""

    def __init__(self) -> None:
        self.ended = False
        """The last thing heard is that the sweep ended; a sweep that is resumed goes on."""
        self.project: str | None = None
        """W&B project; None until the sweep's first event was seen."""
        self.entity: str | None = None
        self.opened: dict[str, Open] = {}
        """How to open each run, also one whose start was sent long ago."""
        self._sweep = ""
        self._sweep_run = ""
        self._tags: tuple[str, ...] = ()
        self._asked = False
        """The experiment has said where its runs go."""
        self._dataset: dict[str, Any] = {}
        self._open: set[str] = set()
        self._started: set[str] = set()
        self._standings = SweepState()
        self._epochs: dict[str, int] = {}
        """Last epoch told of each trial: an epoch that is trained again is not told again."""
        self._resumes = 0
        self._winner: dict[str, Any] = {}

    def add(self, event: Event) -> list[Message]:
        """Fold one event in and return its messages; kinds of events the tracker does not show have none."""
        if not self._sweep and not isinstance(event, SweepStarted):
            return []
        if isinstance(event, (SweepResumed, TrialStarted, TrialResumed, EpochRecorded, TrialEnded)):
            self.ended = False
        return self._messages(event, event.seq)

    @singledispatchmethod
    def _messages(self, event: Event, seq: int) -> list[Message]:
        """Return the messages of an event; the kinds that have any have a method of their own below."""
        return []

    @_messages.register
    def _(self, event: CheckpointsDropped, seq: int) -> list[Message]:
        self._standings.drop(event.trial)
        return []

    @_messages.register
    def _(self, event: SweepStarted, seq: int) -> list[Message]:
        experiment = event.experiment
        self.ended = False
        self._sweep = event.sweep
        self._sweep_run = run_id(self._sweep, "sweep")
        self._standings.sign = -1.0 if experiment["search"].get("mode") == "min" else 1.0
        return self._open_sweep(event, seq)

    @_messages.register
    def _(self, event: SweepResumed, seq: int) -> list[Message]:
        self._resumes += 1
        stale = {} if self._sweep_run in self._open else {"status": None, "reason": None}
        messages = self._open_sweep(event, seq)
        return [*messages, Summary(run=self._sweep_run, seq=seq, values={**stale, "resumes": self._resumes})]

    def _open_sweep(self, event: SweepStarted | SweepResumed, seq: int) -> list[Message]:
        """Open the sweep's run as its newest event says; a run stays in the project that was asked for first."""
        experiment = event.experiment
        dataset = event.dataset.model_dump(mode="json") if event.dataset is not None else {}
        wandb = (experiment.get("track") or {}).get("wandb")
        if wandb and not self._asked:
            self._asked, self.project, self.entity = True, wandb.get("project"), wandb.get("entity")
        self.project = self.project or experiment["name"]
        if wandb:
            self._tags = tuple(wandb.get("tags") or ())
        self._dataset = dataset
        config = {
            "experiment": experiment,
            "dataset": {
                key: dataset.get(key) for key in ("task", "images", "fingerprint", "leaks", "same_source", "allowed")
            },
            "versions": event.versions,
        }
        return [self._opening(self._sweep_run, seq, name=self._sweep, job_type="sweep", config=config)]

    def _opening(self, run: str, seq: int, *, name: str, job_type: str, config: dict[str, Any]) -> Open:
        self.opened[run] = Open(
            run=run, seq=seq, name=name, job_type=job_type, group=self._sweep, tags=self._tags, config=config
        )
        self._open.add(run)
        return self.opened[run]

    @_messages.register
    def _(self, event: TrialStarted, seq: int) -> list[Message]:
        request = event.request
        run = run_id(self._sweep, request.trial)
        self._started.add(request.trial)
        self._standings.start(request.trial)
        return [self._opening(run, seq, name=request.trial, job_type="trial", config=self._config(request))]

    @_messages.register
    def _(self, event: TrialResumed, seq: int) -> list[Message]:
        trial = event.trial
        if trial not in self._started:
            return []
        run = run_id(self._sweep, trial)
        values = going_on(self._standings.go_on(trial), event)
        return [*self._again(run, seq), Summary(run=run, seq=seq, values=values)]

    def _config(self, request: TrialRequest) -> dict[str, Any]:
        return {
            **request.settings,
            "task": request.task,
            "model": request.model,
            "asked": request.asked,
            "world_size": request.world_size,
            "dataset_fingerprint": self._dataset.get("fingerprint"),
            "dataset_leaks": self._dataset.get("leaks") or {},
            "dataset_same_source": self._dataset.get("same_source") or {},
            "yolosweep": {
                "sweep": self._sweep,
                "number": request.number,
                "identity": request.identity,
                "metric": request.metric,
                "mode": request.mode,
            },
        }

    def _again(self, run: str, seq: int) -> list[Message]:
        """Say that a closed run goes on; nothing where it is open."""
        if run in self._open:
            return []
        self._open.add(run)
        self.opened[run] = replace(self.opened[run], seq=seq, tags=self._tags)
        return [self.opened[run]]

    @_messages.register
    def _(self, event: EpochRecorded, seq: int) -> list[Message]:
        trial, row = event.trial, event.row
        run = run_id(self._sweep, trial)
        if trial not in self._started or row.epoch <= self._epochs.get(trial, 0):
            return []
        self._epochs[trial] = row.epoch
        measured = row.model_dump(exclude={"metrics"})
        values = {key: value for key, value in {**row.metrics, **measured}.items() if value is not None}
        return [*self._again(run, seq), Row(run=run, seq=seq, step=row.epoch, values=values)]

    @_messages.register
    def _(self, event: TrialEnded, seq: int) -> list[Message]:
        record = event.record
        run = run_id(self._sweep, record.trial)
        if record.trial not in self._started:
            return []
        self._standings.end(record)
        messages = self._again(run, seq)
        messages.append(
            Close(
                run=run,
                seq=seq,
                exit_code=_EXIT_CODES.get(record.ending, 1),
                tags=(*self._tags, record.ending.value),
                config=config_of(record),
                summary=summary_of(record),
            )
        )
        self._open.discard(run)
        row = {**self._standings.headline(), "score": record.score, "ledger_seq": seq}
        values = {key: value for key, value in row.items() if value is not None}
        return [
            *messages,
            *self._again(self._sweep_run, seq),
            Row(run=self._sweep_run, seq=seq, step=seq, values=values),
        ]

    @_messages.register
    def _(self, event: WinnerSelected, seq: int) -> list[Message]:
        self._winner = {"winner": event.trial, "winner_score": event.score}
        if event.caveats:
            self._winner["caveats"] = " | ".join(event.caveats)
        messages = self._again(self._sweep_run, seq)
        messages.append(Summary(run=self._sweep_run, seq=seq, values=self._winner))
        file, trial = event.file, run_id(self._sweep, event.trial)
        metadata = {**self._winner, "trial_run": trial, "sha256": file.sha256, "size": file.size}
        name = f"{self._sweep}-best"
        messages.append(Artifact(run=self._sweep_run, seq=seq, name=name, file=file, metadata=metadata))
        return messages

    @_messages.register
    def _(self, event: SweepEnded, seq: int) -> list[Message]:
        self.ended = True
        status = event.status
        columns, rows = self._standings.table(lambda trial: run_id(self._sweep, trial))
        messages = self._again(self._sweep_run, seq)
        messages.append(Table(run=self._sweep_run, seq=seq, step=seq, columns=columns, rows=rows))
        messages.append(
            Close(
                run=self._sweep_run,
                seq=seq,
                exit_code=_SWEEP_EXIT_CODES.get(status, 0),
                tags=(*self._tags, status) if status else self._tags,
                summary={**self._standings.headline(), **self._winner, "status": status, "reason": event.reason},
            )
        )
        self._open.discard(self._sweep_run)
        return messages
