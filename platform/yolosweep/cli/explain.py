"""``yolosweep explain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from yolosweep.cli.console import emit, print_line
from yolosweep.cli.options import AsJson, Run
from yolosweep.errors import UsageError

__all__ = ["explain", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    run_folder: Run,
    trial: Annotated[str | None, typer.Argument(metavar="[TRIAL]", help="E.g. t0003; none: the sweep.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why trials were started, pruned and restarted and why the winner was chosen, from the ledger alone."""
    from yolosweep.ledger import RunFolder, read_events
    from yolosweep.report.explanation import explain as explained

    explanation = explained(read_events(RunFolder.open(run_folder).ledger))
    started = explanation.history.started
    trials = explanation.history.trials
    if trial is not None and trial not in trials:
        raise UsageError(f"{started.sweep} has no trial {trial!r}; it has {_range(list(trials))}")
    names = list(trials) if trial is None else [trial]
    told: dict[str, Sequence[str]] = {} if trial else {"sweep": explanation.of_sweep()}
    emit({**told, **{name: explanation.of_trial(name) for name in names}}, as_json, _describe)


def _range(trials: Sequence[str]) -> str:
    return f"{trials[0]} to {trials[-1]}" if trials else "none yet"


def _describe(explanations: Mapping[str, Sequence[str]]) -> None:
    for name, sentences in explanations.items():
        print_line(name, style="bold")
        for sentence in sentences:
            print_line(f"  {sentence}")
