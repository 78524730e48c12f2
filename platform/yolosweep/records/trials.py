"""Trials: the request, the result of each epoch, and the record of the ending."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import Field

from yolosweep.records.footprint import Footprint
from yolosweep.records.image_predictions import Answer
from yolosweep.records.record import Number, Record
from yolosweep.records.trial_policy import TrialPolicy

__all__ = [
    "Cause",
    "Checkpoint",
    "Ending",
    "EpochResult",
    "FileRef",
    "Resampled",
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
    """The search stopped it in favour of better trials; its files are complete."""
    DIVERGED = "diverged"
    """The loss became NaN or infinite and did not recover."""
    OOM = "oom"
    """Out of memory, even after Ultralytics lowered the batch."""
    FAILED = "failed"
    """Any other exception, or the death of the worker; see ``error``."""
    CANCELLED = "cancelled"
    """The user, a signal or an exhausted budget stopped the sweep while it ran."""

    @property
    def is_failure(self) -> bool:
        """Whether the training itself went wrong; its reason is worth a line of its own."""
        return self in (Ending.DIVERGED, Ending.OOM, Ending.FAILED)

    @property
    def is_final(self) -> bool:
        """Whether the trial is over for good; a cancelled one continues when the sweep is resumed."""
        return self is not Ending.CANCELLED

    @property
    def is_natural(self) -> bool:
        """Whether the training reached its own end, so that its score is the one of its settings."""
        return self in (Ending.FINISHED, Ending.PATIENCE)

    @property
    def is_measured(self) -> bool:
        """Whether the footprint is measured: not of what may be resumed or tried again, so that it is done once."""
        return self not in (Ending.CANCELLED, Ending.FAILED, Ending.OOM)

    @property
    def is_complete(self) -> bool:
        """Whether the training ended as planned, or was stopped because more epochs would not pay."""
        return self in (Ending.FINISHED, Ending.PATIENCE, Ending.PRUNED)


class Cause(str, Enum):
    """Why a training did not reach its end; decides whether it is retried (cf. Kubernetes' pod failure policy)."""

    INFRA = "infra"
    """Its process or its node died: retried, not counted."""
    STALLED = "stalled"
    """No batch for too long; its stacks were recorded and its process was ended: retried once."""
    RESOURCE = "resource"
    """Out of memory: ``trial.on_oom`` decides."""
    DATA = "data"
    """The images or labels are unusable: not retried."""
    CONFIG = "config"
    """The settings are unusable: not retried."""
    STORAGE = "storage"
    """The run folder cannot be written: the sweep stops and can be resumed."""
    UNKNOWN = "unknown"
    """Any other exception: retried ``trial.retries`` times."""


class Verdict(str, Enum):
    """The answer to a trial after each epoch."""

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
    """Everything a training needs to continue after a complete epoch exactly as if it had never stopped."""

    epoch: int
    """Epochs trained, counted from 1."""
    state: FileRef
    """The trainer's own state: weights, optimizer, averages, counters."""
    best: FileRef | None = None
    """``best.pt`` as of this epoch; None while no epoch gave a score."""


class TrialRequest(Record):
    """One training, completely specified."""

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
    repeats: str | None = None
    """In the finals, the trial whose parameters are trained again with another seed; the searcher does not learn it."""
    metric: str
    mode: str = "max"
    objectives: tuple[str, ...] = ()
    """Further values that the record gets: metrics, or values of the model's footprint."""
    footprint: Footprint | None = None
    """Of the trial that is trained again in the finals: it is not measured twice."""
    folder: str
    """Run folder (storage) the files of this trial are published to."""
    cpus: float = 1
    gpus: float = 0
    """CPU cores and GPUs of the whole trial, over all its ranks; below 1 a share of one GPU."""
    world_size: int = 1
    """Ranks that train together; part of the identity, because BatchNorm sees each rank's batch alone."""
    policy: TrialPolicy = TrialPolicy()
    attempt: int = 0
    """How often it was started before; part of temporary file names, so that two attempts never collide."""
    lowered: int | None = None
    """The batch to use if the requested one did not fit, for a restarted training on several ranks."""
    resume: tuple[Checkpoint, ...] = ()
    """Recorded checkpoints to resume from, newest first; the first whose bytes match the record is used."""

    @property
    def epochs(self) -> int:
        """Planned number of epochs."""
        return int(self.settings["epochs"])

    @property
    def seed(self) -> int | None:
        """Seed of the training; None where the settings have none."""
        seed = self.settings.get("seed")
        return seed if isinstance(seed, int) else None

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
    """What this epoch ran with and on, as in :class:`TrialRecord`: its process may die before it reports."""


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
    objectives: dict[str, Number] = Field(default_factory=dict)
    """Of ``best.pt``: the value of each further objective; None where it is unknown."""
    footprint: Footprint | None = None
    """As measured when the training ended, where an objective asks for it."""
    epochs: int = 0
    seconds: float = 0.0
    files: dict[str, FileRef] = Field(default_factory=dict)
    """``best.pt``, ``last.pt``, ``results.csv``, ``args.yaml``… by name."""
    checkpoint: Checkpoint | None = None
    """Of a cancelled training: its last complete epoch, if no row has reported it yet."""
    cause: Cause | None = None
    """Why it did not reach its end by itself; None if nothing went wrong."""
    device: str = "cpu"
    """``cpu`` or the GPU's name; ``unknown`` if its process died in the first epoch."""
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
    """How often it was restarted."""
    recoveries: int = 0
    """Epochs trained again inside the training after a NaN or an out-of-memory error."""
    notes: tuple[str, ...] = ()
    """Everything that was changed during the training: batch lowered, images skipped, recoveries."""
    error: str | None = None
    """Last line of the exception, for ``failed``, ``oom`` and ``diverged``."""


class Resampled(Record):
    """Scores on bootstrap resamples of the images of a split; the same resamples for every checkpoint."""

    images: int
    scores: dict[str, tuple[Number, ...]]
    """By metric, in the order of the resamples."""


class Validation(Record):
    """A checkpoint scored on one split."""

    split: str
    metrics: dict[str, Number]
    """Under the same names as in the epoch rows."""
    per_class: dict[str, dict[str, Number]] = Field(default_factory=dict)
    """Class name to its metrics, where the task has them."""
    errors: dict[str, Number] = Field(default_factory=dict)
    """Standard deviation of a metric over resamples of the images, where they were scored one by one."""
    weights_sha256: str = ""
    """Of the checkpoint's tensors: equal trainings leave equal ones, while their files differ by date and paths."""
    resampled: Resampled | None = Field(default=None, exclude=True)
    """Not stored: what the comparison of two checkpoints is made of."""
    confidence: Number = Field(default=None, exclude=True)
    """Not stored: where F1 is highest, the threshold that precision and recall are reported at; None: no threshold."""
    answers: tuple[Answer, ...] = Field(default=(), exclude=True)
    """Not stored: labels and predictions per image, where pictures were asked for."""
    plots: tuple[Path, ...] = Field(default=(), exclude=True)
    """Not stored: the files that were drawn."""
