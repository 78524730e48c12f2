"""``yolosweep show``."""

from __future__ import annotations

import typer

from yolosweep.cli.console import emit
from yolosweep.cli.options import AsJson, Run

__all__ = ["register", "show"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


def show(run_folder: Run, as_json: AsJson = False) -> None:
    """Show the trials of a run: settings, ending, best score, epochs, gain over trial 0."""
    from yolosweep import api
    from yolosweep.cli.tables import describe_run

    emit(api.open(run_folder).summary, as_json, describe_run)
