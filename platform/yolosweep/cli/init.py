"""``yolosweep init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import notify, print_text
from yolosweep.cli.options import Task

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
) -> None:
    """Write a commented starter experiment for a data set.

    Task, image sizes, batch and search space are chosen from its images and labels.
    """
    from yolosweep.workflows.starter_file import write_starter

    told = write_starter(data, out=out, task=task, model=model, time=time)
    print_text(f"{out}\n")
    for sentence in told:
        notify(sentence)
    notify(f"next: yolosweep plan {shlex.quote(str(out))}")
