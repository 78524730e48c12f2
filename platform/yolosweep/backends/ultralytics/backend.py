"""Ultralytics' YOLO models as a backend; nothing here imports torch or ultralytics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends.arguments import Arguments, ArgumentSpace, DataTraits
from yolosweep.backends.backend import CheckpointSize, Starter, Task, TrainingCost
from yolosweep.backends.checkpoint_export import Deployment
from yolosweep.backends.sample_preview import Preview
from yolosweep.backends.trainer import Trainer
from yolosweep.backends.ultralytics import argument_check, argument_rules, model_lookup
from yolosweep.backends.ultralytics.arguments import is_installed, train_arguments
from yolosweep.backends.ultralytics.model_count import counted
from yolosweep.backends.ultralytics.starter_arguments import starter
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.backends.ultralytics.training_cost import training_cost
from yolosweep.errors import Fault
from yolosweep.records import DataProfile
from yolosweep.records.footprint import Footprint

__all__ = ["UltralyticsBackend"]

_MIB = 2.0**20
_STATE_BYTES = 20
"""Of a parameter in a resumable state: weights, their average, AdamW's two moments, a held gradient, 4 bytes each.

States of small models were 9.5 to 9.8 times their ``best.pt`` with AdamW and MuSGD, 7.8 times with SGD.
"""
_WEIGHTS_BYTES = 2
"""Of a parameter in ``best.pt``: half precision."""
_MILLIONS = {"n": 2.6, "t": 2.1, "s": 9.5, "m": 20.4, "b": 20.5, "c": 25.6, "l": 25.8, "e": 58.2, "x": 58}
"""Parameters by the letter of a model's size, from YOLOv9 on."""
_MILLIONS_BEFORE = {"n": 3.2, "s": 11.2, "m": 25.9, "l": 43.7, "x": 68.2}
"""Those of YOLOv8; YOLOv5 is about as large."""
_BEFORE = 8
_MOST_MILLIONS = 160
"""Ultralytics has no larger model (yolov5x6u: 155): a larger file holds more than weights in half precision."""
_SIZE = re.compile(r"yolo(?:v|e-)?(\d+)([a-z]?)", re.IGNORECASE)


class UltralyticsBackend:
    """Everything Ultralytics trains; see :class:`yolosweep.backends.backend.Backend`."""

    name = "Ultralytics"
    packages = ("ultralytics-opencv-headless", "torch", "albumentations", "numpy")
    uses_torch = True
    several_ranks = True

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The five tasks that Ultralytics trains on labelled images."""
        return TASKS

    @property
    def arguments(self) -> Arguments:
        """The train arguments of the installed release, and those yolosweep adds."""
        return train_arguments()

    def matches(self, model: str) -> bool:
        """Accept any model: a wrong one is a fault that names the model."""
        return True

    def faults(self, space: ArgumentSpace) -> Iterator[Fault]:
        """Yield arguments that are wrong, or have no effect."""
        return argument_rules.faults(space)

    def data_faults(self, space: ArgumentSpace, data: DataTraits) -> Iterator[Fault]:
        """Yield arguments that have no effect on these data, or ruin the training."""
        return argument_rules.data_faults(space, data)

    def notes(self, space: ArgumentSpace) -> Iterator[str]:
        """Yield what is legal but may surprise."""
        yield from argument_rules.notes(space)
        if not is_installed():
            yield "Ultralytics is not installed here, so its own checks of arguments and weights were not made"

    def misnamed(self, model: str, task: str) -> str | None:
        """Return why an official model cannot be trained for a task, by its name; None for any other model."""
        return model_lookup.misnamed(model, task)

    def model_faults(self, model: str, task: str) -> list[Fault]:
        """Return what is wrong with the model: missing, or official and for another task."""
        return model_lookup.model_faults(model, task)

    def locate_model(self, model: str, *, fetch: bool = True) -> Path | str:
        """Return the file of a model, or the name of a YAML that Ultralytics ships.

        Raises:
            DataError: there is no such file, and it could not be downloaded.
        """
        return model_lookup.locate_model(model, fetch=fetch)

    def check_arguments(self, space: ArgumentSpace, classes: int | None = None) -> tuple[list[Fault], list[str]]:
        """Return what Ultralytics or Albumentations refuse; nothing where Ultralytics is not installed.

        Raises:
            TrainingError: they cannot be imported.
        """
        return argument_check.check_arguments(space, classes) if is_installed() else ([], [])

    def checkpoint_size(self, model: str, model_bytes: int | None) -> CheckpointSize:
        """Estimate a training's files from the size of its model file, else from the letter in the model's name."""
        parameters = _parameters(model, model_bytes)
        return CheckpointSize(parameters * _STATE_BYTES / _MIB, parameters * _WEIGHTS_BYTES / _MIB)

    def training_cost(self, model: str, model_bytes: int | None, *, imgsz: int, batch: int) -> TrainingCost:
        """Estimate a training's cost from the size of its model file, else from the letter in the model's name."""
        cost = training_cost(_parameters(model, model_bytes) / 1e6, imgsz=imgsz, batch=batch)
        return cost._replace(memory_mb=cost.memory_mb + _WORKER_MB)

    def footprint(self, model: str, *, task: str, classes: int, imgsz: int | None) -> Footprint | None:
        """Count on the model as Ultralytics builds it, with its layers fused; None of weights that are not here yet."""
        found = model_lookup.locate_model(model, fetch=False)
        if isinstance(found, Path) and not found.is_file():
            return None
        return counted(str(found), task=task, classes=classes, imgsz=imgsz or 640) if is_installed() else None

    def starter(self, task: str, data: DataProfile, epochs: int | None = None) -> Starter:
        """Return the smallest YOLO26 of the task, AdamW, and the arguments most worth searching."""
        return starter(task, data, epochs)

    def previews(
        self, images: Sequence[Path], names: Mapping[int, str], *, task: str, settings: Mapping[str, Any], **how: Any
    ) -> list[Preview]:
        """Return samples under each part of the augmentation."""
        from yolosweep.backends.ultralytics.augmentation_preview import previews

        return previews(images, names, task=task, settings=settings, **how)

    def trainer(self) -> Trainer:
        """Return the trainer; this imports torch and ultralytics."""
        from yolosweep.backends.ultralytics.trainer import YoloTrainer

        return YoloTrainer()

    def deployment(self) -> Deployment:
        """Return Ultralytics' exporters, and what a model card says about its models."""
        from yolosweep.backends.ultralytics.checkpoint_export import YoloDeployment

        return YoloDeployment()


_WORKER_MB = 170.0
"""What a worker holds besides a training: Ray, and what stays from one trial to the next (140 to 210 MiB in sweeps)."""


def _parameters(model: str, model_bytes: int | None) -> float:
    """Return the parameters by the size of the file, else by the name."""
    estimate = model_bytes / _WEIGHTS_BYTES if model_bytes else _millions(model) * 1e6
    return min(estimate, _MOST_MILLIONS * 1e6)


def _millions(model: str) -> float:
    """Return the parameters by the name; a YAML without a letter is the smallest size, an unknown name may be any."""
    found = _SIZE.search(model)
    if found is None:
        return max(_MILLIONS_BEFORE.values())
    sizes = _MILLIONS_BEFORE if int(found[1]) <= _BEFORE else _MILLIONS
    return sizes.get(found[2].lower() or "n", sizes["x"])
