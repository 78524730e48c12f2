"""``yolosweep show``."""

from __future__ import annotations

from typing import Annotated

import typer

from yolosweep.cli.console import emit
from yolosweep.cli.options import AsJson, Run

__all__ = ["register", "show"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


def show(
    run_folder: Run,
    every: Annotated[bool, typer.Option("--all", help="List every trial, not only the best 15.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the verdict on a run and its best trials: score, ending, epochs, difference to trial 0, settings."""
    from functools import partial

    from yolosweep import api
    from yolosweep.cli.tables import describe_run

    emit(api.open(run_folder).summary, as_json, partial(describe_run, every=every))
