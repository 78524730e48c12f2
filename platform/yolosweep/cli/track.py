"""``yolosweep track push`` and ``yolosweep track report``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from yolosweep.cli.console import emit, notify, print_json, print_line
from yolosweep.cli.options import AsJson, Run

__all__ = ["push_run", "register", "report_run"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    about = "Mirror runs to trackers, such as Weights & Biases."
    track = typer.Typer(no_args_is_help=True, help=about, rich_markup_mode=None)
    track.command("push")(push_run)
    track.command("report")(report_run)
    app.add_typer(track, name="track")


def push_run(
    run_folder: Run,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="TRACKER", help="Its key under track:, e.g. wandb; default: those the experiment names."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send what the trackers of a run do not have yet; sending twice changes nothing."""
    from yolosweep.errors import UsageError
    from yolosweep.ledger import RunFolder
    from yolosweep.tracking import SINKS, push, sinks_of

    if unknown := set(to or ()) - set(SINKS):
        raise UsageError(f"--to {' --to '.join(sorted(unknown))}: the trackers are {', '.join(SINKS)}")
    folder = RunFolder.open(run_folder)
    results = [push(folder, sink) for sink in dict.fromkeys(to or sinks_of(folder))]
    if as_json:
        print_json([asdict(result) for result in results])
    for result in () if as_json else results:
        where = f" at {result.url}" if result.url else ""
        print_line(f"{result.sink}: {result.runs} runs are complete{where}")
        if result.note:
            notify(result.note)
        if result.warning:
            notify(f"warning: {result.warning}")
    if any(result.warning for result in results):
        raise typer.Exit(1)


def report_run(run_folder: Run, as_json: AsJson = False) -> None:
    """Write a W&B report of a run that was sent there: verdict, scores, classes, panels and pictures."""
    from yolosweep.ledger import RunFolder
    from yolosweep.tracking import save_report

    emit({"url": save_report(RunFolder.open(run_folder))}, as_json, lambda made: print_line(made["url"]))
