"""``yolosweep report``."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from yolosweep.cli.console import emit, notify, print_line
from yolosweep.cli.options import AsJson, Run
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
    as_json: AsJson = False,
) -> None:
    """Write report.html of a run again, from its ledger."""
    if live:
        _serve(run_folder, port or 0, as_json)
        return
    if port is not None:
        raise UsageError("--port is the port of --live; add --live")
    from yolosweep import api

    emit({"report": str(api.open(run_folder).report())}, as_json, lambda made: print_line(made["report"]))


def _serve(run_folder: str, port: int, as_json: bool) -> None:
    from yolosweep.ledger import RunFolder
    from yolosweep.workflows.report_server import ReportServer

    server = ReportServer(RunFolder.open(run_folder), port)
    emit({"url": server.url}, as_json, lambda made: print_line(made["url"]))
    notify("the page refreshes itself while the sweep runs; Ctrl-C ends")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()
