"""``yolosweep show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import emit, notify
from yolosweep.cli.options import AsJson, Run

__all__ = ["register", "show"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


def show(
    run_folder: Run,
    every: Annotated[bool, typer.Option("--all", help="List every trial, not only the best 15.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the trials as a table, .csv or .parquet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the verdict on a run and its best trials: score, ending, epochs, difference to trial 0, settings."""
    from functools import partial

    from yolosweep import api
    from yolosweep.cli.run_tables import describe_run

    sweep = api.open(run_folder)
    if save is not None:
        notify(f"trials: {sweep.save_trials(save)}")
    emit(sweep.summary, as_json, partial(describe_run, every=every))
