"""The seam of this room: what a trainer is, so that the real one and the toy can stand in for each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from yolosweep.records import Checkpoint, EpochResult, TrialRecord, TrialRequest, Validation, Verdict

__all__ = ["Cancelled", "Report", "Trainer"]

Report = Callable[[EpochResult, Checkpoint | None], Verdict]
"""Hand over one epoch, and the checkpoint stored after it if there is one; its files are in the run folder already.

Both are durable when this returns. The answer says whether to go on."""

Cancelled = Callable[[], bool]
"""Asked between batches: True means stop now, keep what there is. Cheap: it never waits."""


class Trainer(Protocol):
    """One training from request to record, and scoring of the checkpoint it leaves."""

    def prepare(self, request: TrialRequest) -> None:
        """Make ready what trainings like this one share on this machine; what goes wrong is left to them to tell."""

    def train(self, request: TrialRequest, report: Report, cancelled: Cancelled) -> TrialRecord:
        """Train, report each epoch, publish ``best.pt``, ``last.pt``, ``results.csv`` and ``args.yaml``.

        Where the request names checkpoints, training goes on from the newest whole one, as if it had never stopped; it
        starts over where all are damaged. Rows are reported from the epoch after it. What goes wrong in a training is
        an ending of the record with its cause, not an exception.
        """

    def validate(
        self, weights: Path, *, task: str, data: str, split: str, settings: Mapping[str, Any], gpus: float
    ) -> Validation:
        """Score a checkpoint file on one split, with the settings (imgsz, batch…) it was trained with.

        What was trained without a GPU (``gpus`` is 0) is scored without one.

        Raises:
            TrainingError: the file cannot be read or the data are not there.
        """
