"""``yolosweep export-study``."""

from __future__ import annotations

import typer

from yolosweep.cli.console import print_text
from yolosweep.cli.options import Run

__all__ = ["export_study", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export-study")(export_study)


def export_study(run_folder: Run) -> None:
    """Write the trials of a run as an Optuna study (study.journal), for optuna.load_study and optuna-dashboard."""
    from yolosweep import api

    print_text(f"{api.open(run_folder).export_study()}\n")
