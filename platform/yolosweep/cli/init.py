"""``yolosweep init`` and ``yolosweep sample``: the first files of a newcomer."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from yolosweep.backends import DEFAULT_BACKEND, backend_for
from yolosweep.data import examine
from yolosweep.data.samples.cache import SAMPLES
from yolosweep.errors import UsageError
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["write_sample", "write_starter"]


def write_starter(data: str, *, out: Path, task: str, model: str | None) -> Path:
    """Write a commented starter experiment for a data set and return its path.

    Raises:
        UsageError: the file exists or cannot be written, there is no such task, or the model is made for another.
        DataError: the data cannot be read.
    """
    from yolosweep.experiment.starter import starter

    backend = DEFAULT_BACKEND if model is None else backend_for(model)
    if task not in backend.tasks:
        raise UsageError(f"--task {task}: must be one of {', '.join(backend.tasks)}")
    if model is not None and (fault := backend.misnamed(model, task)):
        raise UsageError(f"--task {task} --model {model}: {fault}")
    if out.exists():
        raise UsageError(f"{out} exists and is not overwritten; choose another with --out")
    is_named = data.startswith("sample:") or is_address(data)
    dataset = examine(data if is_named else str(Path(data).absolute()), task).dataset
    schema = resources.files("yolosweep.experiment") / "experiment.schema.json"
    named = data if is_named else os.path.relpath(data, out.absolute().parent)
    text = starter(
        named,
        task=task,
        name=Path(data.rpartition(":")[2]).absolute().parent.name
        if data.endswith((".yaml", ".yml"))
        else Path(data).name,
        model=model,
        train_images=dataset.images["train"],
        schema=str(schema),
    )
    try:
        write_atomic(out.absolute(), text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}; choose another with --out") from error
    return out


def write_sample(kind: str, folder: Path, *, seed: int) -> Path:
    """Draw a sample data set and return its data.yaml.

    Raises:
        UsageError: there is no such sample, or the folder is not empty or cannot be written.
    """
    from yolosweep.data.samples.dataset import draw_parking

    if kind not in SAMPLES:
        raise UsageError(f"there is no sample {kind!r}; known: {', '.join(SAMPLES)}")
    try:
        draw_parking(folder, seed=seed)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from error
    return folder / "data.yaml"
