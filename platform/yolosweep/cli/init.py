"""``yolosweep init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import print_text

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
    from yolosweep.workflows.starter_file import write_starter

    write_starter(data, out=out, task=task, model=model)
    print_text(f"{out}\n")
