"""What a short real training on this machine showed."""

from __future__ import annotations

from yolosweep.records.record import Number, Record

__all__ = ["Probe"]


class Probe(Record):
    """A training that was stopped after some batches, or after its first epoch."""

    imgsz: int
    batch: int
    """Smaller than the one that was asked for where that did not fit in memory."""
    batch_asked: int | None = None
    batches: int
    """Batches of one epoch."""
    measured: int
    """Batches that were timed."""
    batch_seconds: float
    """Median."""
    epoch_seconds: Number
    """Of the whole first epoch, validation included; None where it was stopped before its end."""
    memory_mb: float
    """Peak resident memory of the process, MiB."""
    gpu_memory_mb: Number
    """None on CPU."""
    gpu_total_mb: Number = None
    """Memory of the GPU, or of the smallest one."""
    device: str
    at_a_time: int = 1
    """Trainings at the same time."""
