"""``yolosweep check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import emit
from yolosweep.cli.options import AsJson, Task

if TYPE_CHECKING:
    from yolosweep.records import Severity

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
    from yolosweep import api
    from yolosweep.cli.data_check import describe_check
    from yolosweep.cli.listener import ConsoleListener
    from yolosweep.errors import DataError

    lowest, codes = _severity(fail_on), allow or ()
    found = api.check(
        data, task=task, imgsz=imgsz or (), allow=codes, report=report, fail_on=lowest, listener=ConsoleListener()
    )
    emit(found, as_json, describe_check)
    if found.failing(lowest):
        raise typer.Exit(DataError.exit_code)


def _severity(word: str) -> Severity:
    from yolosweep.errors import UsageError
    from yolosweep.records import Severity

    if word not in tuple(Severity):
        raise UsageError(f"--fail-on {word}: choose from {', '.join(severity.value for severity in Severity)}")
    return Severity(word)
