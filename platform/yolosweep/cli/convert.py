"""``yolosweep convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import emit, print_line
from yolosweep.cli.options import AllowCodes, AsJson, Task

if TYPE_CHECKING:
    from yolosweep.records import DataConversion

__all__ = ["convert", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(convert)


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder or file with labels of another format, or a data.yaml.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new or empty folder for the copy.")],
    task: Task = None,
    allow: AllowCodes = None,
    as_json: AsJson = False,
) -> None:
    """Copy a data set with its labels converted to YOLO's: COCO, VOC, CVAT, Label Studio, and other row formats."""
    from yolosweep.cli.outside_files_question import with_trusted
    from yolosweep.cli.terminal_listener import ConsoleListener
    from yolosweep.workflows.data_conversion import convert_data

    codes = with_trusted(allow, source, task, as_json=as_json)
    made = convert_data(source, target, ConsoleListener(), task=task or "detect", allow=codes)
    emit(made, as_json, _describe)


def _describe(made: DataConversion) -> None:
    """Print a conversion for people."""
    from yolosweep.data.model.safe_paths import printable

    for change in made.changes:
        print_line(f"converted  {printable(change, 400)}")
    for lost in made.left_out:
        print_line(f"note       {printable(lost, 400)}")
    counts = ", ".join(f"{count} {split}" for split, count in made.images.items())
    print_line(f"images     {counts}")
    print_line(f"data       {made.data}")
