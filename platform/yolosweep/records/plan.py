"""What a run would do, and what it costs at most."""

from __future__ import annotations

from typing import Any

from yolosweep.records.dataset import PreparedDataset
from yolosweep.records.values import Number, Record

__all__ = ["Plan"]


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
    """Median of earlier runs of this model on these data."""
    hours_at_most: Number
    disk_mb: float
    memory_mb: int | None
    tracking: str
    notes: tuple[str, ...]
