"""``yolosweep export-study``."""

from __future__ import annotations

import typer

from yolosweep.cli.console import emit, print_line
from yolosweep.cli.options import AsJson, Run

__all__ = ["export_study", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export-study")(export_study)


def export_study(run_folder: Run, as_json: AsJson = False) -> None:
    """Write the trials of a run as an Optuna study (study.journal), for optuna.load_study and optuna-dashboard."""
    from yolosweep.ledger import RunFolder
    from yolosweep.workflows.study_export import export_study as write_study

    emit({"file": str(write_study(RunFolder.open(run_folder)))}, as_json, lambda made: print_line(made["file"]))
