"""The record of a training, assembled in one place from its request, its rows and its outcome."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yolosweep.records.footprint import FOOTPRINTS, Footprint
from yolosweep.records.trials import Cause, Checkpoint, Ending, EpochResult, FileRef, TrialRecord, TrialRequest

__all__ = ["Outcome", "record_of"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the rows of a training do not show."""

    ending: Ending
    reason: str
    cause: Cause | None = None
    error: str | None = None
    used: Mapping[str, Any]
    """The searched parameters plus batch, imgsz and optimizer as really used."""
    device: str
    host: str
    seconds: float | None = None
    """Wall time of all processes that trained it, setup included; None: the sum over the rows."""
    world_size: int | None = None
    """Ranks that trained; None: as requested."""
    threads: int | None = None
    """CPU threads of torch in each rank; None without torch."""
    recoveries: int | None = None
    """Epochs trained again within the training; None: as the last row counts them."""
    files: Mapping[str, FileRef] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    notes: Sequence[str] = ()
    footprint: Footprint | None = None
    """As measured; None: as the request has it."""


def record_of(request: TrialRequest, rows: Sequence[EpochResult], outcome: Outcome) -> TrialRecord:
    """Return the record of a training.

    Args:
        request: the training.
        rows: all epochs that count, also those trained by earlier processes.
        outcome: everything else.
    """
    last = rows[-1] if rows else None
    footprint = outcome.footprint or request.footprint
    seconds = sum(_known(row.seconds for row in rows)) if outcome.seconds is None else outcome.seconds
    return TrialRecord(
        trial=request.trial,
        number=request.number,
        ending=outcome.ending,
        reason=outcome.reason,
        asked=request.asked,
        used=dict(outcome.used),
        score=last.best_score if last else None,
        best_epoch=last.best_epoch if last else None,
        objectives=_objectives(request.objectives, rows, footprint),
        footprint=footprint,
        epochs=len(rows),
        seconds=round(seconds, 3),
        files=dict(outcome.files),
        checkpoint=outcome.checkpoint,
        cause=outcome.cause,
        device=outcome.device,
        host=outcome.host,
        world_size=request.world_size if outcome.world_size is None else outcome.world_size,
        threads=outcome.threads,
        epoch_seconds=_median(row.seconds for row in rows),
        images_per_s=_median(row.images_per_s for row in rows),
        memory_mb=max(_known(row.memory_mb for row in rows), default=None),
        gpu_memory_mb=max(_known(row.gpu_memory_mb for row in rows), default=None),
        retries=request.attempt,
        recoveries=(last.recoveries if last else 0) if outcome.recoveries is None else outcome.recoveries,
        notes=tuple(outcome.notes),
        error=outcome.error,
    )


def _objectives(
    names: Sequence[str], rows: Sequence[EpochResult], footprint: Footprint | None
) -> dict[str, float | None]:
    """Return the values of the checkpoint: of its model, and of the epoch that gave it."""
    at = rows[-1].best_epoch if rows else None
    metrics = next((row.metrics for row in rows if row.epoch == at), {})
    of_model = {name: None if footprint is None else footprint.value(name) for name in FOOTPRINTS}
    return {name: of_model[name] if name in FOOTPRINTS else metrics.get(name) for name in names}


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _median(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return statistics.median(known) if known else None
