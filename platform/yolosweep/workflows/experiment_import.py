"""A file of another tool becomes an experiment file."""

from __future__ import annotations

import os
from pathlib import Path

from yolosweep.data import Gate, examine
from yolosweep.errors import DataError, Fault, TrainingError, UsageError
from yolosweep.experiment import Experiment
from yolosweep.experiment.imports.file_import import Imported, Overriding, imported
from yolosweep.storage.addresses import is_address
from yolosweep.workflows.experiment_checks import rules_of_data
from yolosweep.workflows.starter_file import write_experiment

__all__ = ["import_experiment"]


def import_experiment(
    source: Path, *, out: Path, data: str | None = None, model: str | None = None, task: str | None = None
) -> Imported:
    """Write an experiment from a W&B sweep, a space or results of ``model.tune``, or an args.yaml.

    Args:
        source: the file, or a folder of Ultralytics' tuner.
        out: the file to write.
        data: the data set; None: as the file says.
        model: the model to start from; None: as the file says, else the smallest one of the task.
        task: None: as the file says, else the one of the model.

    Raises:
        UsageError: the file cannot be read, is of another kind, or names no data set; ``out`` exists or cannot be
            written.
        ExperimentError: nothing is left to search.
    """
    if out.exists():
        raise UsageError(f"{out} exists and is not overwritten; choose another with --out")
    if data is not None and not data.startswith("sample:") and not is_address(data):
        data = os.path.relpath(data, out.absolute().parent)
    made = imported(source, Overriding(data=data, model=model, task=task), _Rules(out.absolute().parent).faults)
    write_experiment(made.text, out)
    return made


class _Rules:
    """The rules of the training library, and of the data where they can be read from here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gates: dict[str, Gate | None] = {}

    def faults(self, exp: Experiment) -> list[Fault]:
        """Return what the rules refuse."""
        gate = self._gates[exp.task] if exp.task in self._gates else self._examined(exp)
        self._gates[exp.task] = gate
        if gate is not None and (found := rules_of_data(exp, gate)):
            return found
        try:
            return [fault for fault in exp.backend.check_arguments(exp.space)[0] if fault.key != "model"]
        except TrainingError:  # the library is not installed
            return []

    def _examined(self, exp: Experiment) -> Gate | None:
        place = exp.data if exp.data.startswith("sample:") else str(self._folder / Path(exp.data).expanduser())
        if is_address(exp.data) or not (place == exp.data or Path(place).exists()):
            return None
        try:
            return examine(place, exp.task)
        except (DataError, UsageError):
            return None  # `yolosweep plan` says why
