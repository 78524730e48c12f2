"""``yolosweep report``."""

from __future__ import annotations

import typer

from yolosweep.cli.console import print_text
from yolosweep.cli.options import Run

__all__ = ["register", "report"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(run_folder: Run) -> None:
    """Write report.html of a run again, from its ledger."""
    from yolosweep import api

    print_text(f"{api.open(run_folder).report()}\n")
