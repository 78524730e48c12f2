"""Trainings: what is asked of one, what each epoch gave, how it ended."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import Field

from yolosweep.records.policy import TrialPolicy
from yolosweep.records.values import Number, Record

__all__ = [
    "Cause",
    "Checkpoint",
    "Ending",
    "EpochResult",
    "FileRef",
    "TrialRecord",
    "TrialRequest",
    "Validation",
    "Verdict",
]


class Ending(str, Enum):
    """How a trial ended. Ranking is by best score so far, whatever the ending."""

    FINISHED = "finished"
    """All epochs were trained."""
    PATIENCE = "patience"
    """Ultralytics stopped it: no gain for ``patience`` epochs."""
    PRUNED = "pruned"
    """The search stopped it in favour of better trials; its files were closed properly."""
    DIVERGED = "diverged"
    """The loss became NaN or infinite and stayed so."""
    OOM = "oom"
    """Out of memory, also after Ultralytics lowered the batch."""
    FAILED = "failed"
    """Anything else that raised, and workers that died; see ``error``."""
    CANCELLED = "cancelled"
    """The user, a signal or a spent budget stopped the sweep while it ran."""

    @property
    def is_failure(self) -> bool:
        """Whether the training itself went wrong; its reason is worth a line of its own."""
        return self in (Ending.DIVERGED, Ending.OOM, Ending.FAILED)

    @property
    def is_final(self) -> bool:
        """Whether the trial is over for good; a cancelled one continues when the sweep is resumed."""
        return self is not Ending.CANCELLED

    @property
    def is_complete(self) -> bool:
        """Whether the training ended as planned, or was stopped because more epochs would not pay."""
        return self in (Ending.FINISHED, Ending.PATIENCE, Ending.PRUNED)


class Cause(str, Enum):
    """Why a training did not reach its end: decides whether it is tried again (as Kubernetes' pod failure policy)."""

    INFRA = "infra"
    """Its process or its node died: tried again, not counted."""
    STALLED = "stalled"
    """No batch for too long; its stacks were written down and its process was ended: tried again once."""
    RESOURCE = "resource"
    """Out of memory: ``trial.on_oom`` decides."""
    DATA = "data"
    """The images or labels cannot be used: not tried again."""
    CONFIG = "config"
    """The settings cannot be used: not tried again."""
    STORAGE = "storage"
    """The run folder cannot be written: the sweep stops and can be resumed."""
    UNKNOWN = "unknown"
    """Anything else that raised: tried again ``trial.retries`` times."""


class Verdict(str, Enum):
    """What a trial is told after each epoch."""

    CONTINUE = "go_on"
    PRUNE = "prune"
    CANCEL = "cancel"


class FileRef(Record):
    """A file in the run folder, as it was when it was stored; its size in bytes."""

    path: str
    """Relative to the run folder, with forward slashes."""
    sha256: str
    size: int


class Checkpoint(Record):
    """Everything a training needs to go on after a whole epoch, as if it had never stopped."""

    epoch: int
    """Epochs trained, counted from 1."""
    state: FileRef
    """The trainer's own state: weights, optimizer, averages, counters."""
    best: FileRef | None = None
    """``best.pt`` as of this epoch; None while no epoch gave a score."""


class TrialRequest(Record):
    """One training, completely described."""

    sweep: str
    trial: str
    """Identifier inside the sweep: ``t0000`` is the defaults."""
    number: int
    task: str
    model: str
    data: str
    settings: dict[str, Any]
    """Ultralytics train arguments exactly as they are passed (device and folders excepted)."""
    asked: dict[str, Any]
    """The searched parameters alone, as suggested."""
    identity: str
    """Hash of everything that can change the result."""
    metric: str
    mode: str = "max"
    folder: str
    """Run folder (storage) the files of this trial are published to."""
    cpus: float = 1
    gpus: float = 0
    """CPU cores and GPUs of the whole trial, over all its ranks; below 1 a share of one GPU."""
    world_size: int = 1
    """Ranks that train together; part of the identity, because BatchNorm sees each rank's batch alone."""
    policy: TrialPolicy = TrialPolicy()
    attempt: int = 0
    """How often it was started before; part of the names of files in flight, so that two attempts never meet."""
    lowered: int | None = None
    """The batch to use where the asked one did not fit, of a training on several ranks: it began anew."""
    resume: tuple[Checkpoint, ...] = ()
    """Recorded checkpoints to go on from, newest first; the first whose bytes are as recorded is used."""

    @property
    def epochs(self) -> int:
        """Planned number of epochs."""
        return int(self.settings["epochs"])

    @property
    def threads(self) -> int:
        """CPU threads of torch in each rank."""
        return max(1, int(self.cpus / self.world_size))


class EpochResult(Record):
    """One epoch of one trial, as measured."""

    epoch: int
    """Counted from 1."""
    metrics: dict[str, Number]
    """Every loss, metric and learning rate under Ultralytics' own names (``train/box_loss``, ``metrics/mAP50(B)``…)."""
    score: Number
    """The searched metric in this epoch (as reported, not negated for mode min)."""
    best_score: Number
    best_epoch: int | None
    epochs_without_gain: int
    seconds: Number
    images_per_s: Number
    """Wall time of training and validating this epoch; training images per second, validation excluded."""
    memory_mb: Number = None
    gpu_memory_mb: Number = None
    """Resident memory of the training process; peak memory allocated on the GPU, None on CPU. MiB."""
    batch: int | None = None
    device: str = "cpu"
    host: str = ""
    recoveries: int = 0
    """What this epoch ran with and on, as in :class:`TrialRecord`: its process may not live to tell."""


class TrialRecord(Record):
    """How one training ended, and what it left behind."""

    trial: str
    number: int
    ending: Ending
    reason: str
    """One sentence for people: why it ended so."""
    asked: dict[str, Any]
    used: dict[str, Any]
    """The searched parameters plus batch, imgsz and optimizer as really used: what the searcher learns."""
    score: Number = None
    """Best score over all epochs; None if no epoch gave one."""
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    files: dict[str, FileRef] = Field(default_factory=dict)
    """``best.pt``, ``last.pt``, ``results.csv``, ``args.yaml``… by name."""
    checkpoint: Checkpoint | None = None
    """Of a cancelled training: its last whole epoch, where no row had brought it yet."""
    cause: Cause | None = None
    """Why it did not reach its end by itself; None where nothing went wrong."""
    device: str = "cpu"
    """``cpu`` or the GPU's name; ``unknown`` where its process died in the first epoch."""
    gpus: tuple[str, ...] = ()
    """The GPUs Ray granted, over all ranks, as ``CUDA_VISIBLE_DEVICES`` names them."""
    host: str = ""
    world_size: int = 1
    threads: int | None = None
    """CPU threads of torch in each rank."""
    epoch_seconds: Number = None
    images_per_s: Number = None
    """Medians over the epochs: wall time, training images per second."""
    memory_mb: Number = None
    gpu_memory_mb: Number = None
    """Largest resident memory of the training process; peak memory allocated on the GPU, None on CPU. MiB."""
    retries: int = 0
    """How often it was started again."""
    recoveries: int = 0
    """Epochs trained again inside of the training after a NaN or an out-of-memory error."""
    notes: tuple[str, ...] = ()
    """Everything that was changed on the way: batch lowered, images skipped, recoveries."""
    error: str | None = None
    """Last line of the exception, for ``failed``, ``oom`` and ``diverged``."""


class Validation(Record):
    """A checkpoint scored on one split."""

    split: str
    metrics: dict[str, Number]
    """Under the same names as in the epoch rows."""
    per_class: dict[str, dict[str, Number]] = Field(default_factory=dict)
    """Class name to its metrics, where the task has them."""
