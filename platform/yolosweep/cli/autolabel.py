"""``yolosweep autolabel``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import emit
from yolosweep.cli.options import AllowCodes, AsJson

__all__ = ["autolabel", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(autolabel)


def autolabel(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A data.yaml, or a folder of images.")],
    weights: Annotated[Path, typer.Option(help="Weights of an Ultralytics detector (.pt).")],
    out: Annotated[Path, typer.Option(help="A new folder for the labels, or one to continue.")],
    sam: Annotated[Path | None, typer.Option(help="Weights of SAM: outlines instead of boxes.")] = None,
    conf: Annotated[float, typer.Option(help="Lowest confidence of a box, 0 to 1.")] = 0.25,
    include_eval: Annotated[bool, typer.Option("--include-eval", help="Also label val and test.")] = False,
    allow: AllowCodes = None,
    as_json: AsJson = False,
) -> None:
    """Auto-label images into a separate folder and report the agreement with human labels."""
    from yolosweep.cli.autolabel_output import describe_labels
    from yolosweep.cli.outside_files_question import with_trusted
    from yolosweep.cli.terminal_listener import ConsoleListener
    from yolosweep.workflows.auto_labels import label_images

    made = label_images(
        data,
        ConsoleListener(),
        weights=weights,
        out=out,
        sam=sam,
        conf=conf,
        include_eval=include_eval,
        allow=with_trusted(allow, data, as_json=as_json),
    )
    emit(made.summary(), as_json, describe_labels)
