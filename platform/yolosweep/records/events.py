"""The events of a ledger, one class each: everything that is written down about a sweep, as a discriminated union.

To add a kind of event, add a class with its own ``event`` literal and list it in :data:`Event`. Readers pass over kinds
they do not know and fields they do not have, so a ledger of a later minor version stays readable.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args

from pydantic import ConfigDict, Field, PlainSerializer, model_validator
from pydantic_core import from_json

from yolosweep.records.dataset_results import PreparedDataset
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.records.footprint import Footprint
from yolosweep.records.record import SCHEMA_VERSION, Number, Record
from yolosweep.records.trials import Checkpoint, EpochResult, FileRef, TrialRecord, TrialRequest, Validation, Verdict

__all__ = [
    "CheckpointsDropped",
    "EpochRecorded",
    "Event",
    "Note",
    "PairedError",
    "Reference",
    "SweepEnded",
    "SweepResumed",
    "SweepStarted",
    "TrialEnded",
    "TrialResumed",
    "TrialStarted",
    "UnknownEvent",
    "Winner",
    "WinnerSelected",
    "event_of_json",
]

Time = Annotated[datetime, PlainSerializer(lambda at: at.isoformat(timespec="milliseconds"), when_used="json")]


class LedgerEvent(Record):
    """What all events have in common; the ledger sets the number and the time when it writes one."""

    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="constants")

    v: int = SCHEMA_VERSION
    seq: int = -1
    """Number in the ledger, from 0; -1 until it is written."""
    at: Time = datetime.min.replace(tzinfo=timezone.utc)
    """When it was written, UTC."""

    def line(self, seq: int) -> bytes:
        """Return the event as a line of the ledger, with its number and the time of now.

        Raises:
            ValueError: a setting is NaN or infinite, which JSON cannot hold.
        """
        stamped = self.model_copy(update={"seq": seq, "at": datetime.now(timezone.utc)})
        text = json.dumps(stamped.model_dump(mode="json"), allow_nan=False, separators=(",", ":"))
        return text.encode() + b"\n"


class _Setup(LedgerEvent):
    """What a sweep is run with, from this event on."""

    experiment: dict[str, Any]
    """The resolved experiment, dumped."""
    dataset: PreparedDataset | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of everything that can change a result, by package."""
    notes: tuple[str, ...] = ()
    """What was legal but may surprise, one sentence each."""
    slots: dict[str, Any] = Field(default_factory=dict)
    """What one trial gets of the cluster, and how many run at a time."""
    model_fingerprint: str | None = None
    fingerprints: dict[str, str] = Field(default_factory=dict)
    """Of each model by its name, where several are searched."""

    @property
    def world_size(self) -> int:
        """Ranks of one trial."""
        return int(self.slots.get("world_size", 1))


class SweepStarted(_Setup):
    """The first event of every ledger."""

    event: Literal["sweep_started"] = "sweep_started"
    sweep: str
    dataset: PreparedDataset
    earlier: tuple[EarlierTrial, ...] = ()
    """Trials of earlier sweeps that the search starts from."""


class SweepResumed(_Setup):
    """Another process goes on with the sweep."""

    event: Literal["sweep_resumed"] = "sweep_resumed"
    changes: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
    """Settings that differ from before, by dotted key: old and new value."""
    allowed: tuple[str, ...] = ()
    """What else may differ because the user said so: ``data``, ``versions``."""


class Note(LedgerEvent):
    """A sentence for people, about a trial or the whole sweep."""

    event: Literal["note"] = "note"
    text: str
    trial: str | None = None


class TrialStarted(LedgerEvent):
    """A trial was suggested and assigned for the first time."""

    event: Literal["trial_started"] = "trial_started"
    request: TrialRequest


class EpochRecorded(LedgerEvent):
    """One epoch of a trial, its checkpoint where one was stored after it, and the verdict the trial got."""

    event: Literal["row"] = "row"
    trial: str
    row: EpochResult
    checkpoint: Checkpoint | None = None
    verdict: Verdict = Verdict.CONTINUE
    reason: str | None = None
    """Why the pruner stopped the trial here, with its numbers; None where it did not, or says nothing."""


class TrialResumed(LedgerEvent):
    """A trial goes on from a checkpoint: every epoch after ``from_epoch`` is trained, and recorded, again."""

    event: Literal["trial_resumed"] = "trial_resumed"
    trial: str
    attempt: int
    cause: str
    """A :class:`Cause`, or ``resumed``, ``preempted`` or ``damaged``."""
    reason: str
    from_epoch: int
    batch: int | None = None
    """The batch of a trial that did not fit in memory and is trained again from the start."""


class TrialEnded(LedgerEvent):
    """A trial ended; a cancelled one may be resumed later."""

    event: Literal["trial_ended"] = "trial_ended"
    record: TrialRecord


class CheckpointsDropped(LedgerEvent):
    """The weights of an ended trial are deleted; its rows, settings and logs stay."""

    event: Literal["checkpoints_dropped"] = "checkpoints_dropped"
    trial: str
    reason: str = ""


class PairedError(Record):
    """How uncertain the difference of two checkpoints on one split is: a paired bootstrap over its images."""

    model_config = ConfigDict(extra="ignore")

    images: int
    resamples: int
    error: float
    """Standard deviation of the difference over the resamples."""


class Reference(Record):
    """The checkpoint that the winner is compared with: trial 0's; where trial 0 wins, that of the best other trial."""

    model_config = ConfigDict(extra="ignore")

    trial: str
    repeats: str | None = None
    """In finals: the trial that it is a repeat of."""
    validations: dict[str, Validation] = Field(default_factory=dict)
    """By split, like the winner's; empty if it could not be validated."""
    errors: dict[str, PairedError] = Field(default_factory=dict)
    """By split, where both were scored image by image."""
    reason: str | None = None
    """Why it could not be validated."""


class Winner(Record):
    """The checkpoint that is handed over, verified and validated again."""

    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="constants")

    trial: str
    repeats: str | None = None
    """The trial that won the finals, if the checkpoint is that of one of its repeats."""
    score: Number
    """As recorded during training."""
    metric: str
    rule: str = ""
    """What it was selected by, where there are several objectives."""
    objectives: dict[str, Number] = Field(default_factory=dict)
    """The values of its further objectives."""
    footprint: Footprint | None = None
    """How these were measured."""
    front: tuple[str, ...] = ()
    """The trials on the Pareto front, best score first."""
    passed_over: tuple[str, ...] = ()
    """A sentence for each better trial that left no checkpoint."""
    caveats: tuple[str, ...] = ()
    """What has to be said wherever a score on these data is shown."""
    validations: dict[str, Validation]
    """By split: ``val``, and ``test`` where there is one."""
    reference: Reference | None = None
    """What it was compared with on the same images; None in ledgers of earlier versions."""
    file: FileRef
    pictures: tuple[FileRef, ...] = ()
    """``errors.html``, the plots and the worst images; empty where nothing could be drawn, and in earlier ledgers."""
    mistakes: dict[str, dict[str, int]] = Field(default_factory=dict)
    """By split: how many ``labels`` there are, and what is wrong, by kind; empty where nothing was compared."""
    settings: dict[str, Any]
    """All train arguments, as really used."""
    identity: str
    model: str
    data_fingerprint: str
    versions: dict[str, str] = Field(default_factory=dict)
    pages: dict[str, str] = Field(default_factory=dict)
    """Where the sweep is at the trackers it was mirrored to, by their titles."""
    reproduce: str = "yolosweep run reproduce.yaml"
    """Command to train it again, in its folder."""

    @model_validator(mode="before")
    @classmethod
    def _earlier_versions(cls, data: Any) -> Any:
        """Read the page at W&B, which was a field of its own."""
        if not isinstance(data, dict) or "wandb" not in data:
            return data
        page = data["wandb"]
        rest = {name: value for name, value in data.items() if name != "wandb"}
        return {**rest, "pages": {"W&B": page}} if page else rest

    @property
    def settings_trial(self) -> str:
        """The trial whose settings were chosen: where the checkpoint is a repeat's, the repeated one."""
        return self.repeats or self.trial

    @property
    def weights_sha256(self) -> str:
        """Of the checkpoint's tensors; empty in ledgers of earlier versions."""
        return self.validations["val"].weights_sha256 if "val" in self.validations else ""


class WinnerSelected(LedgerEvent, Winner):
    """A winner was selected, or selected again."""

    event: Literal["winner"] = "winner"

    @property
    def winner(self) -> Winner:
        """The winner alone, without number and time."""
        return Winner.model_validate(self.model_dump(include=set(Winner.model_fields)))


class SweepEnded(LedgerEvent):
    """The search is over and the winner, if any, is written."""

    event: Literal["sweep_ended"] = "sweep_ended"
    status: str = ""
    """``finished`` or ``cancelled``."""
    reason: str | None = None


class UnknownEvent(LedgerEvent):
    """An event of a later minor version: it is passed over."""

    event: str


Event: TypeAlias = Union[  # noqa: UP007 - get_args needs the union as a value
    SweepStarted,
    SweepResumed,
    Note,
    TrialStarted,
    EpochRecorded,
    TrialResumed,
    TrialEnded,
    CheckpointsDropped,
    WinnerSelected,
    SweepEnded,
    UnknownEvent,
]


_KINDS: dict[str, type[LedgerEvent]] = {
    str(kind.model_fields["event"].default): kind for kind in get_args(Event) if kind is not UnknownEvent
}


def event_of_json(line: bytes) -> Event:
    """Return the event written in one line.

    Raises:
        ValueError: the line is not a JSON object, or lacks what its kind of event must have.
    """
    content = from_json(line)
    if not isinstance(content, dict) or not isinstance(content.get("v"), int):
        raise ValueError("not an event")
    if content["v"] > SCHEMA_VERSION:  # its fields may mean something else
        return UnknownEvent(v=content["v"], event=str(content.get("event")))
    kind = _KINDS.get(str(content.get("event")), UnknownEvent)
    event: Event = kind.model_validate(content)  # type: ignore[assignment]
    return event
