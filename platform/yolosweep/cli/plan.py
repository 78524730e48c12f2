"""``yolosweep plan``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from yolosweep.cli.console import emit, print_line, print_table
from yolosweep.cli.options import AllowCodes, AsJson, ExperimentFile, Overrides

if TYPE_CHECKING:
    from yolosweep.records.plan import Plan

__all__ = ["plan", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    experiment: ExperimentFile, overrides: Overrides = None, allow: AllowCodes = None, as_json: AsJson = False
) -> None:
    """Print what a run would do and cost at most; write nothing."""
    from yolosweep import api
    from yolosweep.cli.listener import ConsoleListener

    emit(api.plan(experiment, *(overrides or ()), allow=allow or (), listener=ConsoleListener()), as_json, _describe)


def _describe(plan: Plan) -> None:
    """Print a plan for people."""
    from yolosweep.experiment.choices import PRUNERS

    exp, search = plan.experiment, plan.experiment["search"]
    images = ", ".join(f"{count} {split}" for split, count in plan.data.images.items())
    print_line(f"{exp['name']}: {exp['task']} with {plan.model}", style="bold")
    print_line(f"data       {plan.data.source} ({images}; {len(plan.data.names)} classes)")
    print_line(f"fixed      {_pairs(exp['train'])}, seed={exp['seed']}")
    print_table(("parameter", "searched"), [(name, _pairs(space)) for name, space in search["parameters"].items()])
    trials = plan.trials if plan.trials is not None else "as many as the budget allows"
    print_line(
        f"search     {search['searcher']}, {search['mode']} {search['metric']}, {trials} trials, the defaults first"
    )
    print_line(f"trial 0    {_pairs(plan.first_trial)}")
    if plan.rungs:
        levels = ", ".join(map(str, plan.rungs))
        print_line(
            f"pruning    {search['pruner']}: the best 1/{search['reduction_factor']} continue after epochs {levels}"
        )
    else:
        print_line(f"pruning    {search['pruner']}: {PRUNERS[search['pruner']].summary}")
    print_line(f"finals     {plan.finals}{_finals_time(plan)}")
    print_line(
        f"cost       at most {plan.epochs_at_most or '?'} epochs ({plan.epochs_per_trial} a trial){_time_text(plan)}"
    )
    memory = f", about {plan.memory_mb} MB of memory" if plan.memory_mb else ""
    print_line(f"           about {plan.disk_mb:g} MB of disk (checkpoints, the best {exp['keep_top']} kept){memory}")
    at_a_time = f"{plan.concurrent} at a time" if plan.concurrent else "as many at a time as the GPUs hold"
    print_line(f"runs in    {exp['storage']}, {at_a_time}")
    if plan.tracking:
        print_line(f"mirror     {plan.tracking}")
    for note in plan.notes:
        print_line(f"note       {note}")


def _finals_time(plan: Plan) -> str:
    if plan.seconds_per_epoch is None or not plan.final_trainings:
        return ""
    rounds = math.ceil(plan.final_trainings / max(plan.concurrent or 1, 1))
    return f", about {rounds * plan.epochs_per_trial * plan.seconds_per_epoch / 3600:.3g} h"


def _time_text(plan: Plan) -> str:
    if plan.hours_at_most is None:
        return "; the time is estimated once the duration of an epoch is known"
    return f", about {plan.hours_at_most:g} h at {plan.seconds_per_epoch:g} s per epoch, as in earlier runs"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
