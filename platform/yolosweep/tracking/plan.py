"""Pure core of the mirror: which messages each ledger event gives rise to.

What an event says depends on the events before it alone, so a ledger read in one piece, in many, or twice over gives
the same messages. What was sent is one number per W&B run: the last event that is known to have arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from yolosweep.records import Ending, EpochRow, FileRef, TrialRecord, TrialRequest
from yolosweep.tracking.messages import Artifact, Close, Message, Open, Row, Summary, Table, run_id

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
        self._started: dict[str, Any] = {}
        self._sign = 1.0
        self._open: set[str] = set()
        self._requests: dict[str, TrialRequest] = {}
        self._records: dict[str, TrialRecord] = {}
        self._epochs: dict[str, int] = {}
        self._dropped: set[str] = set()
        self._winner: dict[str, Any] = {}

    def add(self, event: dict[str, Any]) -> list[Message]:
        """Fold one event in and return what it says; events the mirror has no word for say nothing."""
        kind, seq = event["event"], int(event["seq"])
        if kind == "sweep_started":
            return self._start_sweep(event, seq)
        if not self._sweep:
            return []
        if kind in ("trial_started", "row", "trial_ended"):
            self.ended = False
        if kind == "trial_started":
            return self._start_trial(TrialRequest.model_validate(event["request"]), seq)
        if kind == "row":
            return self._row(event["trial"], EpochRow.model_validate(event["row"]), seq)
        if kind == "trial_ended":
            return self._end_trial(TrialRecord.model_validate(event["record"]), seq)
        if kind == "checkpoints_dropped":
            self._dropped.add(event["trial"])
        elif kind == "winner":
            return self._win(event, seq)
        elif kind == "sweep_ended":
            return self._end_sweep(event, seq)
        return []

    def _start_sweep(self, event: dict[str, Any], seq: int) -> list[Message]:
        experiment = event["experiment"]
        wandb = (experiment.get("track") or {}).get("wandb") or {}
        self.ended = False
        self._sweep = str(event["sweep"])
        self._sweep_run = run_id(self._sweep, "sweep")
        self._started = event
        self._sign = -1.0 if experiment["search"].get("mode") == "min" else 1.0
        self._tags = tuple(wandb.get("tags") or ())
        self.project = wandb.get("project") or experiment["name"]
        self.entity = wandb.get("entity")
        dataset = event.get("dataset") or {}
        self.opened[self._sweep_run] = Open(
            run=self._sweep_run,
            seq=seq,
            name=self._sweep,
            job_type="sweep",
            group=self._sweep,
            tags=self._tags,
            config={
                "experiment": experiment,
                "dataset": {key: dataset.get(key) for key in ("task", "images", "fingerprint")},
                "versions": event.get("versions") or {},
            },
        )
        self._open.add(self._sweep_run)
        return [self.opened[self._sweep_run]]

    def _start_trial(self, request: TrialRequest, seq: int) -> list[Message]:
        run = run_id(self._sweep, request.trial)
        self._requests[request.trial] = request
        self._records.pop(request.trial, None)
        self._dropped.discard(request.trial)
        self.opened[run] = Open(
            run=run,
            seq=seq,
            name=request.trial,
            job_type="trial",
            group=self._sweep,
            tags=self._tags,
            config=self._config(request),
        )
        self._open.add(run)
        return [self.opened[run]]

    def _config(self, request: TrialRequest) -> dict[str, Any]:
        return {
            **request.settings,
            "task": request.task,
            "model": request.model,
            "asked": request.asked,
            "dataset_fingerprint": (self._started.get("dataset") or {}).get("fingerprint"),
            "yolosweep": {
                "sweep": self._sweep,
                "number": request.number,
                "identity": request.identity,
                "metric": request.metric,
                "mode": request.mode,
            },
        }

    def _again(self, run: str, seq: int) -> list[Message]:
        """Say that a closed run goes on (the sweep was resumed); nothing where it is open."""
        if run in self._open:
            return []
        self._open.add(run)
        return [replace(self.opened[run], seq=seq)]

    def _row(self, trial: str, row: EpochRow, seq: int) -> list[Message]:
        run = run_id(self._sweep, trial)
        if trial not in self._requests or row.epoch <= self._epochs.get(trial, 0):
            return []
        self._epochs[trial] = row.epoch
        measured = row.model_dump(exclude={"metrics"})
        values = {key: value for key, value in {**row.metrics, **measured}.items() if value is not None}
        return [*self._again(run, seq), Row(run=run, seq=seq, step=row.epoch, values=values)]

    def _end_trial(self, record: TrialRecord, seq: int) -> list[Message]:
        run = run_id(self._sweep, record.trial)
        if record.trial not in self._requests:
            return []
        self._records[record.trial] = record
        messages = self._again(run, seq)
        messages.append(
            Close(
                run=run,
                seq=seq,
                exit_code=_EXIT_CODES.get(record.ending, 1),
                tags=(*self._tags, record.ending.value),
                config={**record.used, "device": record.device, "host": record.host},
                summary=_summary_of(record),
            )
        )
        self._open.discard(run)
        row = {**self._headline(), "score": record.score, "ledger_seq": seq}
        values = {key: value for key, value in row.items() if value is not None}
        return [
            *messages,
            *self._again(self._sweep_run, seq),
            Row(run=self._sweep_run, seq=seq, step=seq, values=values),
        ]

    def _win(self, event: dict[str, Any], seq: int) -> list[Message]:
        self._winner = {"winner": event["trial"], "winner_score": event.get("score")}
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
        columns, rows = self._table()
        messages = self._again(self._sweep_run, seq)
        messages.append(Table(run=self._sweep_run, seq=seq, step=seq, columns=columns, rows=rows))
        messages.append(
            Close(
                run=self._sweep_run,
                seq=seq,
                exit_code=_SWEEP_EXIT_CODES.get(status, 0),
                tags=(*self._tags, status) if status else self._tags,
                summary={**self._headline(), **self._winner, "status": status, "reason": event.get("reason")},
            )
        )
        self._open.discard(self._sweep_run)
        return messages

    def _best(self) -> TrialRecord | None:
        scored = [record for record in self._records.values() if record.score is not None]
        return min(scored, key=lambda record: (-self._sign * (record.score or 0.0), record.number), default=None)

    def _gain(self, score: float | None) -> float | None:
        default = next((record.score for record in self._records.values() if record.number == 0), None)
        return None if score is None or default is None else self._sign * (score - default)

    def _headline(self) -> dict[str, Any]:
        headline: dict[str, Any] = {"trials_ended": len(self._records)}
        if (best := self._best()) is not None:
            headline |= {
                "best_score": best.score,
                "best_trial": best.trial,
                "gain_over_defaults": self._gain(best.score),
            }
            headline |= {f"best/{name}": value for name, value in best.used.items() if name in best.asked}
        return headline

    def _table(self) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
        records = sorted(self._records.values(), key=lambda record: record.number)
        names = sorted({name for record in records for name in record.asked})
        columns = ("trial", "ending", "best_score", "gain_over_defaults", "best_epoch", "epochs", "seconds")
        rows = []
        for record in records:
            told = (record.trial, record.ending.value, record.score, self._gain(record.score))
            counted = (record.best_epoch, record.epochs, record.seconds)
            settings = (record.used.get(name, record.asked.get(name)) for name in names)
            kept = "best.pt" in record.files and record.trial not in self._dropped
            file = record.files["best.pt"].path if kept else None
            rows.append((*told, *counted, *settings, file, run_id(self._sweep, record.trial)))
        return (*columns, *names, "checkpoint", "run"), tuple(rows)


def _summary_of(record: TrialRecord) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "best_score": record.score,
        "best_epoch": record.best_epoch,
        "epochs": record.epochs,
        "ending": record.ending.value,
        "reason": record.reason,
        "error": record.error,
        "notes": " | ".join(record.notes) or None,
    }
    if (best := record.files.get("best.pt")) is not None:
        summary |= {"checkpoint_path": best.path, "checkpoint_sha256": best.sha256, "checkpoint_bytes": best.size}
    return {key: value for key, value in summary.items() if value is not None}
