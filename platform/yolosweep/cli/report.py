"""``yolosweep report``."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from yolosweep.cli.console import notify, print_text
from yolosweep.cli.options import Run
from yolosweep.errors import UsageError

__all__ = ["register", "report"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    run_folder: Run,
    live: Annotated[
        bool, typer.Option("--live", help="Serve the page on 127.0.0.1, and refresh it while the sweep runs.")
    ] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of --live; a free one by default.")] = None,
) -> None:
    """Write report.html of a run again, from its ledger."""
    if live:
        _serve(run_folder, port or 0)
        return
    if port is not None:
        raise UsageError("--port is the port of --live; add --live")
    from yolosweep import api

    print_text(f"{api.open(run_folder).report()}\n")


def _serve(run_folder: str, port: int) -> None:
    from yolosweep.ledger import RunFolder
    from yolosweep.workflows.report_server import ReportServer

    server = ReportServer(RunFolder.open(run_folder), port)
    print_text(f"{server.url}\n")
    notify("the page refreshes itself while the sweep runs; Ctrl-C ends")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()
