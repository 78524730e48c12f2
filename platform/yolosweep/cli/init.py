"""``yolosweep init``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import print_text
from yolosweep.errors import UsageError

__all__ = ["init", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    data: Annotated[str, typer.Argument(help="A data.yaml, a classify folder, or sample:parking.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("experiment.yaml"),
    task: Annotated[str, typer.Option(help="detect, segment, classify, pose or obb.")] = "detect",
    model: Annotated[str | None, typer.Option(help="Model to start from.")] = None,
) -> None:
    """Write a commented starter experiment for a data set."""
    from yolosweep.storage.atomic_files import write_atomic

    _check_options(out, task, model)
    text = _starter(data, out=out, task=task, model=model)
    try:
        write_atomic(out.absolute(), text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}; choose another with --out") from error
    print_text(f"{out}\n")


def _check_options(out: Path, task: str, model: str | None) -> None:
    """Check the options.

    Raises:
        UsageError: the file exists, the task is unknown, or the model is for another task.
    """
    from yolosweep.backends import DEFAULT_BACKEND, backend_for

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
    from importlib import resources

    from yolosweep.data import examine
    from yolosweep.experiment.starter import starter
    from yolosweep.storage.addresses import is_address

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
