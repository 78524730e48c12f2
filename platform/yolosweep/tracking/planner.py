"""Pure core of the mirror: which messages each ledger event gives rise to.

What an event says depends on the events before it alone, so a ledger read in one piece, in many, or twice over gives
the same messages. What was sent is one number per W&B run: the last event that is known to have arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from yolosweep.records import Ending, EpochResult, FileRef, TrialRecord, TrialRequest
from yolosweep.tracking.messages import Artifact, Close, Message, Open, Row, Summary, Table, run_id
from yolosweep.tracking.sweep_state import SweepState, config_of, going_on, summary_of

__all__ = ["Planner", "plan"]

_EXIT_CODES = {Ending.FINISHED: 0, Ending.PATIENCE: 0, Ending.PRUNED: 0, Ending.CANCELLED: 255}
_SWEEP_EXIT_CODES = {"failed": 1, "error": 1, "cancelled": 255, "interrupted": 255}


def plan(events: Iterable[dict[str, Any]], sent: Mapping[str, int]) -> list[Message]:
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

    def add(self, event: dict[str, Any]) -> list[Message]:
        """Fold one event in and return what it says; events the mirror has no word for say nothing."""
        kind, seq = event["event"], int(event["seq"])
        if kind == "sweep_started":
            return self._start_sweep(event, seq)
        if not self._sweep:
            return []
        if kind in ("sweep_resumed", "trial_started", "trial_resumed", "row", "trial_ended"):
            self.ended = False
        if kind == "checkpoints_dropped":
            self._standings.drop(event["trial"])
        tell = {
            "sweep_resumed": self._resume_sweep,
            "trial_started": self._start_trial,
            "trial_resumed": self._resume_trial,
            "row": self._row,
            "trial_ended": self._end_trial,
            "winner": self._win,
            "sweep_ended": self._end_sweep,
        }.get(kind)
        return tell(event, seq) if tell else []

    def _start_sweep(self, event: dict[str, Any], seq: int) -> list[Message]:
        experiment = event["experiment"]
        self.ended = False
        self._sweep = str(event["sweep"])
        self._sweep_run = run_id(self._sweep, "sweep")
        self._standings.sign = -1.0 if experiment["search"].get("mode") == "min" else 1.0
        return self._open_sweep(event, seq)

    def _resume_sweep(self, event: dict[str, Any], seq: int) -> list[Message]:
        self._resumes += 1
        stale = {} if self._sweep_run in self._open else {"status": None, "reason": None}
        messages = self._open_sweep(event, seq)
        return [*messages, Summary(run=self._sweep_run, seq=seq, values={**stale, "resumes": self._resumes})]

    def _open_sweep(self, event: dict[str, Any], seq: int) -> list[Message]:
        """Open the sweep's run as its newest event says; a run stays in the project that was asked for first."""
        experiment, dataset = event["experiment"], event.get("dataset") or {}
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
            "versions": event.get("versions") or {},
        }
        return [self._opening(self._sweep_run, seq, name=self._sweep, job_type="sweep", config=config)]

    def _opening(self, run: str, seq: int, *, name: str, job_type: str, config: dict[str, Any]) -> Open:
        self.opened[run] = Open(
            run=run, seq=seq, name=name, job_type=job_type, group=self._sweep, tags=self._tags, config=config
        )
        self._open.add(run)
        return self.opened[run]

    def _start_trial(self, event: dict[str, Any], seq: int) -> list[Message]:
        request = TrialRequest.model_validate(event["request"])
        run = run_id(self._sweep, request.trial)
        self._started.add(request.trial)
        self._standings.start(request.trial)
        return [self._opening(run, seq, name=request.trial, job_type="trial", config=self._config(request))]

    def _resume_trial(self, event: dict[str, Any], seq: int) -> list[Message]:
        trial = event["trial"]
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

    def _row(self, event: dict[str, Any], seq: int) -> list[Message]:
        trial, row = event["trial"], EpochResult.model_validate(event["row"])
        run = run_id(self._sweep, trial)
        if trial not in self._started or row.epoch <= self._epochs.get(trial, 0):
            return []
        self._epochs[trial] = row.epoch
        measured = row.model_dump(exclude={"metrics"})
        values = {key: value for key, value in {**row.metrics, **measured}.items() if value is not None}
        return [*self._again(run, seq), Row(run=run, seq=seq, step=row.epoch, values=values)]

    def _end_trial(self, event: dict[str, Any], seq: int) -> list[Message]:
        record = TrialRecord.model_validate(event["record"])
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

    def _win(self, event: dict[str, Any], seq: int) -> list[Message]:
        self._winner = {"winner": event["trial"], "winner_score": event.get("score")}
        if event.get("caveats"):
            self._winner["caveats"] = " | ".join(event["caveats"])
        messages = self._again(self._sweep_run, seq)
        messages.append(Summary(run=self._sweep_run, seq=seq, values=self._winner))
        if event.get("file"):
            file = FileRef.model_validate(event["file"])
            trial = run_id(self._sweep, event["trial"])
            metadata = {**self._winner, "trial_run": trial, "sha256": file.sha256, "size": file.size}
            name = f"{self._sweep}-best"
            messages.append(Artifact(run=self._sweep_run, seq=seq, name=name, file=file, metadata=metadata))
        return messages

    def _end_sweep(self, event: dict[str, Any], seq: int) -> list[Message]:
        self.ended = True
        status = str(event.get("status", ""))
        columns, rows = self._standings.table(lambda trial: run_id(self._sweep, trial))
        messages = self._again(self._sweep_run, seq)
        messages.append(Table(run=self._sweep_run, seq=seq, step=seq, columns=columns, rows=rows))
        messages.append(
            Close(
                run=self._sweep_run,
                seq=seq,
                exit_code=_SWEEP_EXIT_CODES.get(status, 0),
                tags=(*self._tags, status) if status else self._tags,
                summary={**self._standings.headline(), **self._winner, "status": status, "reason": event.get("reason")},
            )
        )
        self._open.discard(self._sweep_run)
        return messages
