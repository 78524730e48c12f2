"""``yolosweep split``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import emit, print_line, print_table
from yolosweep.cli.options import AllowCodes, AsJson, Task

if TYPE_CHECKING:
    from yolosweep.records import DataSplit

__all__ = ["register", "split"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(split)


def split(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A data.yaml, or a folder of images and labels.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder for the lists and the data.yaml.")],
    task: Task = None,
    val: Annotated[float, typer.Option(help="Share of the images for val.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the images for test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Same seed, same split.")] = 0,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="time, camera, folder, a file with lines image,group, or a pattern that finds the group in a path. "
            "By default: time for fixed cameras, else class.",
        ),
    ] = None,
    allow: AllowCodes = None,
    as_json: AsJson = False,
) -> None:
    """Split a data set into train, val and test. Keeps bursts and duplicates together, moves no files."""
    from yolosweep import api
    from yolosweep.cli.outside_files_question import with_trusted
    from yolosweep.cli.terminal_listener import ConsoleListener

    made = api.split(
        data,
        out,
        task=task or "detect",
        val=val,
        test=test,
        seed=seed,
        by=by,
        allow=with_trusted(allow, data, task, as_json=as_json),
        listener=ConsoleListener(),
    )
    emit(made, as_json, _describe)


def _describe(split: DataSplit) -> None:
    """Print a split for people."""
    from yolosweep.data.model.safe_paths import printable

    images, classes = split.images, split.classes
    names = dict.fromkeys(name for counts in classes.values() for name in counts)
    rows = [(printable(name), *(classes[part].get(name, 0) for part in images)) for name in names]
    print_table(("images with", *images), [("(all)", *images.values()), *rows])
    if split.groups:
        print_line(
            f"{split.images_in_groups} images in {split.groups} groups (duplicates, bursts) were kept "
            f"together; the largest has {split.largest_group}"
        )
    for note in split.notes:
        print_line(f"note       {printable(note, 1000)}")
    for part, lost in split.missing.items():
        print_line(f"note       {part} has no image with {', '.join(map(printable, lost))}")
    if split.left_out:
        print_line(f"note       {len(split.left_out)} images cannot be read and are excluded")
    print_line(f"data       {split.data}")
