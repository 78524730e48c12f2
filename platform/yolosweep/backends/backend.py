"""What a backend is: everything the platform knows about one family of models.

How to add a backend
--------------------

1. Write a class that satisfies :class:`Backend`. Importing its module must not load torch or another heavy library:
   import those within the methods.
2. Add an instance to ``BACKENDS`` in :mod:`yolosweep.backends.backend_registry`. The first backend whose ``matches``
   accepts the model of an experiment is used; Ultralytics accepts everything and stays last.
3. Subclass ``BackendContract`` (``tests/contract/test_backend.py``) and ``TrainerContract``
   (``tests/contract/test_trainer.py``): a few class attributes each.

Nothing else names a model family: experiment, search, cluster and CLI read the attributes below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from yolosweep.backends.arguments import Arguments, ArgumentSpace, DataTraits
from yolosweep.backends.checkpoint_export import Deployment
from yolosweep.backends.sample_preview import Preview
from yolosweep.backends.trainer import Trainer
from yolosweep.errors import Fault
from yolosweep.records import DataProfile
from yolosweep.records.footprint import Footprint

__all__ = ["Backend", "CheckpointSize", "Starter", "Task", "TrainingCost", "small_batch"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a model of the backend can be trained for."""

    metrics: tuple[str, ...]
    """Names of the metrics that every epoch reports, losses aside."""
    default_metric: str
    """The metric that ranks trials unless ``search.metric`` names another."""
    shares_images: bool = False
    """Whether the trials of a node share decoded images (``trial.image_cache``)."""


class CheckpointSize(NamedTuple):
    """Estimated size of the files of one training, MiB."""

    state_mb: float
    """A resumable state."""
    weights_mb: float
    """``best.pt``."""


class TrainingCost(NamedTuple):
    """Rough cost of a training on one CPU core."""

    batch_s: float
    """Per batch, whatever its size."""
    image_s: float
    """Per image, forward and backward."""
    memory_mb: float
    """Resident memory of the process, MiB."""
    state_s: float = 0.0
    """Per epoch, to write the state."""

    def epoch_s(self, images: int, batch: int, cores: float) -> float:
        """Return the seconds of an epoch without validation; more cores help less than in proportion."""
        seconds = -(-images // batch) * self.batch_s + images * self.image_s
        return float(seconds / max(cores, 1.0) ** 0.7) + self.state_s


@dataclass(frozen=True, kw_only=True)
class Starter:
    """What ``yolosweep init`` writes for a data set: YAML lines, with their comments."""

    model: str
    train: tuple[str, ...]
    space: tuple[str, ...]


class Backend(Protocol):
    """One family of models: a cheap description, and the way to its trainer."""

    @property
    def name(self) -> str:
        """Name in messages, e.g. ``Ultralytics``."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that can be trained, by the word the experiment file uses."""

    @property
    def arguments(self) -> Arguments:
        """The train arguments."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Installed distributions whose version can change a result."""

    @property
    def uses_torch(self) -> bool:
        """Whether nodes need a working torch, and GPUs are of use."""

    @property
    def several_ranks(self) -> bool:
        """Whether several processes can train one trial together."""

    def matches(self, model: str) -> bool:
        """Return whether this backend trains the model an experiment names."""

    def faults(self, space: ArgumentSpace) -> Iterator[Fault]:
        """Yield arguments that are contradictory or have no effect, as far as the experiment file shows."""

    def data_faults(self, space: ArgumentSpace, data: DataTraits) -> Iterator[Fault]:
        """Yield faults that depend on the data."""

    def notes(self, space: ArgumentSpace) -> Iterator[str]:
        """Yield what is legal but may surprise, one sentence each."""

    def misnamed(self, model: str, task: str) -> str | None:
        """Return why a model cannot be trained for a task, judged by its name; None if it may."""

    def model_faults(self, model: str, task: str) -> list[Fault]:
        """Return what is wrong with the model: missing, or made for another task."""

    def locate_model(self, model: str, *, fetch: bool = True) -> Path | str:
        """Return the model's file, or its bare name where the library ships it.

        Args:
            model: what the experiment names.
            fetch: whether to download weights that are not on this machine; if False the file may not exist yet.

        Raises:
            DataError: there is no such model.
        """

    def check_arguments(self, space: ArgumentSpace, classes: int | None = None) -> tuple[list[Fault], list[str]]:
        """Return what the library itself refuses, of arguments, pipelines and weights, and what may surprise.

        Args:
            space: what is set and searched.
            classes: how many the data have, if they are known.

        Raises:
            TrainingError: the library cannot be imported.
        """

    def checkpoint_size(self, model: str, model_bytes: int | None) -> CheckpointSize:
        """Estimate the size of a training's files; ``model_bytes`` is the size of the model file, if there is one."""

    def training_cost(self, model: str, model_bytes: int | None, *, imgsz: int, batch: int) -> TrainingCost:
        """Estimate what a training costs on CPU; ``model_bytes`` is the size of the model file, if there is one."""

    def footprint(self, model: str, *, task: str, classes: int, imgsz: int | None) -> Footprint | None:
        """Count what a model has before it is trained; ``size_mb`` is an estimate. None where it cannot be counted.

        Args:
            model: what the experiment names.
            task: what it is trained for.
            classes: classes of the data.
            imgsz: image size; None if the backend has none.
        """

    def starter(self, task: str, data: DataProfile, epochs: int | None = None) -> Starter:
        """Return the starting point for an experiment on such data, with the usual epochs or with those given."""

    def previews(
        self,
        images: Sequence[Path],
        names: Mapping[int, str],
        *,
        task: str,
        settings: Mapping[str, Any],
        pipelines: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]],
        count: int,
        seed: int,
        extra: Mapping[str, Any],
    ) -> list[Preview]:
        """Return samples as a training would see them; empty for a backend that does not augment."""

    def trainer(self) -> Trainer:
        """Return a trainer; this may import heavy libraries."""

    def deployment(self) -> Deployment | None:
        """Return how checkpoints are used outside of yolosweep; None if they cannot be."""


def small_batch(train_images: int | None) -> int:
    """Return a batch for a starter file: 16, or for very small sets a power of two that leaves about four batches."""
    if train_images is None or train_images >= 64:
        return 16
    return max(1 << (max(train_images, 1) // 4).bit_length() - 1, 1) if train_images >= 4 else 1
