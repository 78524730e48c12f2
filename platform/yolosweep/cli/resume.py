"""``yolosweep resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from yolosweep.cli.options import AsJson, Run
from yolosweep.cli.shell_completion import complete_override

__all__ = ["register", "resume"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(resume)


def resume(
    run_folder: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE...",
            help="Larger budgets, e.g. search.trials=40.",
            autocompletion=complete_override,
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT", help="Accept a difference (data, versions), or waive this code of an error in the data."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Resume an interrupted run, or give it more trials. Finished trials are never run again."""
    from yolosweep.cli.run_and_resume import resume_sweep

    resume_sweep(run_folder, overrides or [], allow=allow or [], as_json=as_json)
