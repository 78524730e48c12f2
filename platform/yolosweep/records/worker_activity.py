"""What a worker does at this moment: it travels with the heartbeat, never into the ledger."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from yolosweep.records.record import Number, Record

__all__ = ["Activity", "Stage"]


class Stage(str, Enum):
    """What a worker is busy with."""

    PREPARE = "prepare"
    """It imports the training library and reads the labels, before its first trial."""
    SET_UP = "set up"
    """It builds the model, the loaders and the image cache of a trial."""
    TRAIN = "train"
    VALIDATE = "validate"


class Activity(Record):
    """One worker at one moment."""

    stage: Stage
    trial: str = ""
    """Empty before the worker's first trial."""
    epoch: int = 0
    """Counted from 1; 0 before the first."""
    done: int = 0
    """Batches of the epoch, or of its validation, that are done."""
    of: int = 0
    """All its batches; 0 if unknown."""
    batches_per_s: Number = None
    losses: dict[str, Number] = Field(default_factory=dict)
    """Running means over the epoch."""
    gpu_memory_mb: Number = None
    """Peak memory allocated on the GPU, MiB."""
