"""``yolosweep sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import emit, print_line
from yolosweep.cli.options import AsJson
from yolosweep.errors import UsageError

__all__ = ["register", "sample"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sample)


def sample(
    kind: Annotated[str, typer.Argument(help="The sample: parking.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw a small labelled data set: a parking lot from above, classes red_car and car."""
    from yolosweep.data.samples.parking_dataset import draw_parking
    from yolosweep.data.samples.sample_cache import SAMPLES

    if kind not in SAMPLES:
        raise UsageError(f"there is no sample {kind!r}; known: {', '.join(SAMPLES)}")
    try:
        draw_parking(folder, seed=seed)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from error
    emit({"data": str(folder / "data.yaml")}, as_json, lambda made: print_line(made["data"]))
