"""``yolosweep ls``."""

from __future__ import annotations

from typing import Annotated

import typer

from yolosweep.cli.console import emit
from yolosweep.cli.options import AsJson

__all__ = ["list_runs", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ls")(list_runs)


def list_runs(
    storage: Annotated[str, typer.Argument(help="Folder or address (s3://…) that holds run folders.")] = "runs",
    as_json: AsJson = False,
) -> None:
    """List the runs in a storage folder, newest first."""
    from yolosweep.cli.run_tables import describe_runs
    from yolosweep.workflows.run_list import runs_in

    emit(runs_in(storage), as_json, describe_runs)
