"""What a trainer is: one Protocol, one contract test class (``tests/contract/test_trainer.py``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from yolosweep.backends.activity_meter import Watch, unwatched
from yolosweep.records import Checkpoint, EpochResult, TrialRecord, TrialRequest, Validation, Verdict

__all__ = ["Cancelled", "Report", "Trainer"]

Report = Callable[[EpochResult, Checkpoint | None], Verdict]
"""Report one epoch, and the checkpoint stored after it if there is one; its files are already in the run folder.

Both are durable when the call returns. The verdict says whether to continue."""

Cancelled = Callable[[], bool]
"""Polled between batches: True means stop now and keep what there is. It never blocks."""


class Trainer(Protocol):
    """Runs one training from request to record, and scores the checkpoint it leaves."""

    def prepare(self, request: TrialRequest) -> None:
        """Prepare what similar trainings share on this machine; errors are left for the trainings to report."""

    def find_batch(self, request: TrialRequest) -> int:
        """Return the largest batch that fits on the granted GPU; the default batch without a GPU.

        Args:
            request: the training; its ``batch`` is -1, or the share of the GPU's memory to fill.

        Raises:
            TrainingError: not even the smallest batch fits, or the training cannot be built.
        """

    def train(
        self, request: TrialRequest, report: Report, cancelled: Cancelled, watch: Watch = unwatched
    ) -> TrialRecord:
        """Train, report each epoch, publish ``best.pt``, ``last.pt``, ``results.csv`` and ``args.yaml``.

        If the request names checkpoints, training resumes from the newest intact one, as if it had never stopped; if
        all are damaged, it restarts. Rows are reported from the next epoch on. The record covers all epochs, also those
        of earlier processes. A training that goes wrong does not raise: its record holds the ending and the cause.
        ``watch`` receives what it does within an epoch.
        """

    def validate(
        self,
        weights: Path,
        *,
        task: str,
        data: str,
        split: str,
        settings: Mapping[str, Any],
        gpus: float,
        pictures: Path | None = None,
    ) -> Validation:
        """Score a checkpoint file on one split, with the settings (imgsz, batch…) it was trained with.

        A model trained without a GPU (``gpus`` is 0) is scored without one.

        Args:
            weights: the checkpoint file.
            task: what it was trained for.
            data: the data it was trained on.
            split: the split to score it on.
            settings: its train arguments.
            gpus: the GPUs it was trained on.
            pictures: an existing folder for plots; with it, the validation also holds the answers per image, if the
                backend has them. What cannot be drawn is left out.

        Raises:
            TrainingError: the file cannot be read, or the data are missing.
        """
