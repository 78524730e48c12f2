"""A commented starter experiment for a data set."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from yolosweep.backends import DEFAULT_BACKEND, backend_for
from yolosweep.data import examine
from yolosweep.errors import UsageError
from yolosweep.experiment.starter import starter
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["write_starter"]


def write_starter(data: str, *, out: Path, task: str, model: str | None) -> None:
    """Write a starter experiment for a data set into a new file.

    Raises:
        DataError: the data cannot be read.
        UsageError: the file exists or cannot be written, the task is unknown, or the model is for another task.
    """
    _check_options(out, task, model)
    text = _starter(data, out=out, task=task, model=model)
    try:
        write_atomic(out.absolute(), text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}; choose another with --out") from error


def _check_options(out: Path, task: str, model: str | None) -> None:
    """Check the options.

    Raises:
        UsageError: the file exists, the task is unknown, or the model is for another task.
    """
    backend = DEFAULT_BACKEND if model is None else backend_for(model)
    if task not in backend.tasks:
        raise UsageError(f"--task {task}: must be one of {', '.join(backend.tasks)}")
    if model is not None and (fault := backend.misnamed(model, task)):
        raise UsageError(f"--task {task} --model {model}: {fault}")
    if out.exists():
        raise UsageError(f"{out} exists and is not overwritten; choose another with --out")


def _starter(data: str, *, out: Path, task: str, model: str | None) -> str:
    """Return the text of the experiment.

    Raises:
        DataError: the data cannot be read.
    """
    is_name = data.startswith("sample:") or is_address(data)
    dataset = examine(data if is_name else str(Path(data).absolute()), task).dataset
    in_folder = data.endswith((".yaml", ".yml"))
    return starter(
        data if is_name else os.path.relpath(data, out.absolute().parent),
        task=task,
        name=Path(data.rpartition(":")[2]).absolute().parent.name if in_folder else Path(data).name,
        model=model,
        train_images=dataset.images["train"],
        schema=str(resources.files("yolosweep.experiment") / "experiment.schema.json"),
    )
