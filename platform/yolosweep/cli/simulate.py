"""``yolosweep simulate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import print_json, print_line, print_table
from yolosweep.cli.options import AsJson, ExperimentFile, Overrides

if TYPE_CHECKING:
    from yolosweep.workflows.simulated_sweeps import SimulatedSweep

__all__ = ["register", "simulate"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    experiment: ExperimentFile,
    curves: Annotated[
        str, typer.Option("--curves", metavar="FILE|RUN", help="A table of recorded curves, or a run folder.")
    ],
    overrides: Overrides = None,
    chosen: Annotated[str | None, typer.Option("--set", help="The set of a table with several.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, help="Sweeps, each with another seed of the search.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Say what a search would have found on recorded curves, without training: other searcher, pruner or budget."""
    from yolosweep.workflows.simulated_sweeps import simulate as simulated

    found = simulated(experiment, overrides or (), curves, chosen=chosen, workers=workers, seeds=seeds)
    if as_json:
        print_json([asdict(sweep) for sweep in found])
    else:
        _describe(found)


def _describe(sweeps: Sequence[SimulatedSweep]) -> None:
    """Print a line per sweep, and their mean."""
    columns: dict[str, Callable[[SimulatedSweep], float]] = {
        "trials": lambda one: one.trials,
        "epochs": lambda one: one.epochs,
        "trainings": lambda one: one.trainings,
        "hours": lambda one: one.hours,
        "quoted": lambda one: one.score,
        "true": lambda one: one.true,
        "regret": lambda one: one.regret,
        "best pruned": lambda one: one.best_pruned,
    }
    rows = [(str(one.seed), *(f"{value(one):.4g}" for value in columns.values())) for one in sweeps]
    means = [f"{sum(map(value, sweeps)) / len(sweeps):.4g}" for value in columns.values()]
    print_table(("seed", *columns), [*rows, ("mean", *means)])
    first = sweeps[0]
    endings = ", ".join(f"{count} {ending}" for ending, count in first.endings.items())
    print_line(f"seed {first.seed}: {endings}; the defaults have {first.defaults:.4g} without luck")
    print_line(f"{first.winner}: " + ", ".join(f"{name}={value}" for name, value in first.parameters.items()))
