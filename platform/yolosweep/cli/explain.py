"""``yolosweep explain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from yolosweep.cli.console import emit, print_line, wrapped
from yolosweep.cli.options import AsJson, Run

__all__ = ["explain", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    run_folder: Run,
    trial: Annotated[
        str | None, typer.Argument(metavar="[TRIAL]", help="E.g. t0003; none: the sweep and every trial.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why trials were started, pruned and restarted and why the winner was chosen, from the ledger alone."""
    from yolosweep import api

    emit(api.open(run_folder).explain(trial), as_json, _describe)


def _describe(explanations: Mapping[str, Sequence[str]]) -> None:
    for name, sentences in explanations.items():
        print_line(name, style="bold")
        for sentence in sentences:
            print_line(wrapped(sentence, indent="  "))
