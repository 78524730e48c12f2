"""The toy as a backend: it takes Ultralytics' names for the arguments they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends.arguments import ArgumentSpace, DataTraits
from yolosweep.backends.backend import CheckpointSize, Starter, Task, TrainingCost, small_batch
from yolosweep.backends.sample_preview import Preview
from yolosweep.backends.toy.arguments import ARGUMENTS, COUNTED
from yolosweep.backends.trainer import Trainer
from yolosweep.errors import Fault
from yolosweep.records import DataProfile
from yolosweep.records.footprint import Footprint

__all__ = ["MODEL", "ToyBackend"]

MODEL = "toy/red"
"""The name of the only model."""

_TASK = Task(metrics=("metrics/accuracy_top1",), default_metric="metrics/accuracy_top1")


class ToyBackend:
    """A model that trains in a second; see :class:`yolosweep.backends.backend.Backend`."""

    name = MODEL
    packages = ("numpy",)
    arguments = ARGUMENTS
    uses_torch = False
    several_ranks = False

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All tasks: it learns from boxes, or from images in class folders."""
        return dict.fromkeys(("detect", "segment", "classify", "pose", "obb"), _TASK)

    def matches(self, model: str) -> bool:
        """Accept the one name."""
        return model == MODEL

    def faults(self, space: ArgumentSpace) -> Iterator[Fault]:
        """Yield nothing: no argument rules out another."""
        return iter(())

    def data_faults(self, space: ArgumentSpace, data: DataTraits) -> Iterator[Fault]:
        """Yield nothing: any data will do."""
        return iter(())

    def notes(self, space: ArgumentSpace) -> Iterator[str]:
        """Yield nothing."""
        return iter(())

    def misnamed(self, model: str, task: str) -> str | None:
        """Return None: the model is made for all tasks."""
        return None

    def model_faults(self, model: str, task: str) -> list[Fault]:
        """Return nothing: there is no model file."""
        return []

    def locate_model(self, model: str, *, fetch: bool = True) -> Path | str:
        """Return the name: there is no model file."""
        return model

    def check_arguments(self, space: ArgumentSpace, classes: int | None = None) -> tuple[list[Fault], list[str]]:
        """Return nothing: there is no library to ask."""
        return [], []

    def checkpoint_size(self, model: str, model_bytes: int | None) -> CheckpointSize:
        """Return some KiB: two numbers and the rows."""
        return CheckpointSize(0.01, 0.01)

    def training_cost(self, model: str, model_bytes: int | None, *, imgsz: int, batch: int) -> TrainingCost:
        """Return microseconds, and what Python itself takes."""
        return TrainingCost(2e-5, 2e-6, 150.0)

    def footprint(self, model: str, *, task: str, classes: int, imgsz: int | None) -> Footprint:
        """Return the two numbers, and the two operations of a crop."""
        return COUNTED

    def starter(self, task: str, data: DataProfile, epochs: int | None = None) -> Starter:
        """Return the arguments it has."""
        return Starter(
            model=MODEL,
            train=(
                f"epochs: {epochs or 20}",
                f"batch: {small_batch(data.train_images)}",
                "patience: 5  # a trial ends after this many epochs without gain",
            ),
            space=(
                "lr0: {min: 0.001, max: 0.1, distribution: log_uniform_values}",
                "weight_decay: {min: 0.0, max: 0.01}",
            ),
        )

    def previews(self, images: Sequence[Path], names: Mapping[int, str], **how: Any) -> list[Preview]:
        """Return nothing: it does not augment."""
        return []

    def trainer(self) -> Trainer:
        """Return the trainer."""
        from yolosweep.backends.toy.trainer import ToyTrainer

        return ToyTrainer()

    def deployment(self) -> None:
        """Return None: a weight and a bias are of no use outside of yolosweep."""
