"""What a run would do, and what it costs at most."""

from __future__ import annotations

from enum import Enum
from typing import Any

from yolosweep.records.dataset_results import PreparedDataset
from yolosweep.records.record import Number, Record

__all__ = ["Basis", "CostEstimate", "Plan"]


class Basis(str, Enum):
    """What an estimate rests on."""

    MEASURED = "measured"
    """Batches trained on this machine just now."""
    EARLIER_RUNS = "earlier runs"
    """Epochs in the ledgers of this storage, converted to this model, image size and batch."""
    ROUGH_MODEL = "rough model"
    """An average CPU core."""


class CostEstimate(Record):
    """What one training costs on this machine."""

    basis: Basis
    factor: float
    """The truth is expected between a value divided by this and multiplied by it."""
    epoch_seconds: float
    """Of the default trial, validation included."""
    epoch_seconds_most: float
    """Of the costliest trial that is searched."""
    memory_mb: float
    gpu_memory_mb: Number = None
    """Of the costliest trial's process, MiB."""
    at_a_time: int = 1
    """Trainings that were measured at the same time."""


class Plan(Record):
    """The plan of a run; its fields are the keys of ``yolosweep plan --json``, in order."""

    experiment: dict[str, Any]
    """The resolved experiment, dumped."""
    data: PreparedDataset
    model: str
    trials: int | None
    """None: as many as the budgets allow."""
    final_trainings: int
    """How many of them are the finals'; 0 without finals."""
    finals: str
    """What the finals are, or why there are none."""
    first_trial: dict[str, Any]
    """The searched parameters of trial 0, the defaults."""
    epochs_per_trial: int
    epochs_at_most: int | None
    rungs: tuple[int, ...]
    """Epochs after which the pruner compares trials."""
    concurrent: int | None
    """Trials at a time; None where the GPUs of the cluster decide."""
    seconds_per_epoch: Number
    """Of a middling trial, as estimated."""
    hours_at_most: Number
    trainings: Number = None
    """Whole trainings of the defaults that the budget is worth, as estimated where it is a time; None if it is neither
    a time nor a number of trainings."""
    disk_mb: float
    memory_mb: int | None
    tracking: str
    notes: tuple[str, ...]
    cost: CostEstimate | None = None
    """None where nothing is known of the machine that will train."""
    objectives: str | None = None
    """What the search is for and which trial wins, where there are several objectives."""
