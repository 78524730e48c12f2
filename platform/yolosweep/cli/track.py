"""``yolosweep track push``."""

from __future__ import annotations

import typer

from yolosweep.cli.console import notify, print_line
from yolosweep.cli.options import Run

__all__ = ["push_run", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    track = typer.Typer(no_args_is_help=True, help="Mirror runs to Weights & Biases.", rich_markup_mode=None)
    track.command("push")(push_run)
    app.add_typer(track, name="track")


def push_run(run_folder: Run) -> None:
    """Send what W&B does not have yet; sending twice changes nothing."""
    from yolosweep.ledger import RunFolder
    from yolosweep.tracking import push

    result = push(RunFolder.open(run_folder))
    where = f" at {result.url}" if result.url else ""
    print_line(f"{result.runs} runs are complete{where}")
    if result.warning:
        notify(f"warning: {result.warning}")
        raise typer.Exit(1)
