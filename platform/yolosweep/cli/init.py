"""``yolosweep init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import emit, notify, print_line
from yolosweep.cli.options import AsJson, Task

__all__ = ["init", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    data: Annotated[str, typer.Argument(help="A data.yaml, a classify folder, or sample:parking.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("experiment.yaml"),
    task: Task = None,
    model: Annotated[str | None, typer.Option(help="Model to start from.")] = None,
    time: Annotated[str | None, typer.Option(metavar="TIME", help="Time budget of the search: 90m, 8h, 2d.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented starter experiment for a data set.

    Task, image sizes, batch and search space are chosen from its images and labels.
    """
    from yolosweep.workflows.starter_file import write_starter

    told = write_starter(data, out=out, task=task, model=model, time=time)
    emit({"file": str(out)}, as_json, lambda made: print_line(made["file"]))
    for sentence in told:
        notify(sentence)
    notify(f"next: yolosweep plan {shlex.quote(str(out))}")
