"""``yolosweep check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.options import AsJson, Task

__all__ = ["check", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A data.yaml, a folder, sample:parking, or an experiment file.")
    ],
    task: Task = None,
    imgsz: Annotated[
        list[int] | None, typer.Option(help="Image size that will be trained with; repeat for more.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page: findings, classes, box sizes, samples, leaks.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Lowest severity that gives exit code 4: error, warning, note.")
    ] = "error",
    allow: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Waive findings of this code: they do not fail the check.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find problems in a data set before a sweep does: labels, images, leaks, balance."""
    from yolosweep.cli.data_check import check_data

    code = check_data(
        data, task=task, imgsz=imgsz or (), allow=allow or (), report=report, fail_on=fail_on, as_json=as_json
    )
    raise typer.Exit(code)
