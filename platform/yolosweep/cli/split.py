"""``yolosweep split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.options import AsJson, Task

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
    as_json: AsJson = False,
) -> None:
    """Split a data set into train, val and test by class. Keeps bursts and duplicates together, moves no files."""
    from yolosweep.cli.data_split import write_split

    write_split(data, out=out, task=task or "detect", val=val, test=test, seed=seed, as_json=as_json)
