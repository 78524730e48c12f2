"""``yolosweep run``."""

from __future__ import annotations

from typing import Annotated

import typer

from yolosweep.cli.options import AllowCodes, AsJson, ExperimentFile, Overrides
from yolosweep.cli.plan import plan

__all__ = ["register", "run"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop, as `yolosweep plan`.")] = False,
    allow: AllowCodes = None,
    as_json: AsJson = False,
) -> None:
    """Check the data, search, and hand over one verified best.pt."""
    if dry_run:
        plan(experiment, overrides, allow, as_json=as_json)
        return
    from yolosweep.cli.outside_files_question import with_trusted

    codes = with_trusted(allow, str(experiment), overrides=overrides or [], as_json=as_json)
    from yolosweep.cli.run_and_resume import run_sweep  # a second of imports, after the first sign of life

    run_sweep(experiment, overrides or [], allow=codes, as_json=as_json)
