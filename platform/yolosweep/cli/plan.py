"""``yolosweep plan``."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolosweep.cli.console import emit, field, is_terminal, print_line, print_table
from yolosweep.cli.options import AllowCodes, AsJson, ExperimentFile, Overrides

if TYPE_CHECKING:
    from yolosweep.records.plan import CostEstimate, Plan

__all__ = ["plan", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    allow: AllowCodes = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Train some batches on this machine to estimate time and memory.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what a run would do and cost at most; write nothing."""
    from yolosweep.cli.outside_files_question import with_trusted

    codes = with_trusted(allow, str(experiment), overrides=overrides or [], as_json=as_json)
    from yolosweep import api
    from yolosweep.cli.terminal_listener import ConsoleListener

    listener = ConsoleListener()
    if is_terminal(sys.stderr):
        listener.info("checking the experiment and the data …")
    try:
        found = api.plan(experiment, *(overrides or ()), allow=codes, measure=measure, listener=listener)
    finally:
        listener.rest()
    emit(found, as_json, _describe)


def _describe(plan: Plan) -> None:
    """Print a plan for people."""
    from yolosweep.experiment.search_choices import PRUNERS
    from yolosweep.records.trial_columns import memory_text

    exp, search = plan.experiment, plan.experiment["search"]
    images = ", ".join(f"{count} {split}" for split, count in plan.data.images.items())
    print_line(f"{exp['name']}: {exp['task']} with {plan.model}", style="bold")
    print_line(f"data       {plan.data.source} ({images}; {len(plan.data.names)} classes)")
    print_line(field("fixed", f"{_pairs(exp['train'])}, seed={exp['seed']}"))
    print_table(("parameter", "searched"), [(name, _pairs(space)) for name, space in search["parameters"].items()])
    for constraint in search["constraints"]:
        print_line(f"constraint {constraint}")
    found = f"{search['mode']} {search['metric']}, {_trials_text(plan)}"
    print_line(field("search", f"{search['searcher']}, {found}, the defaults first"))
    if plan.objectives:
        print_line(field("objectives", plan.objectives))
    print_line(field("trial 0", _pairs(plan.first_trial)))
    if plan.rungs:
        levels = ", ".join(map(str, plan.rungs))
        print_line(
            f"pruning    {search['pruner']}: the best 1/{search['reduction_factor']} continue after epochs {levels}"
        )
    else:
        print_line(f"pruning    {search['pruner']}: {PRUNERS[search['pruner']].summary}")
    print_line(field("finals", f"{plan.finals}{_finals_time(plan)}"))
    most = f"at most {plan.epochs_at_most} epochs" if plan.epochs_at_most else "as many epochs as fit"
    print_line(field("cost", f"{most} ({plan.epochs_per_trial} a trial){_time_text(plan)}"))
    memory = f", about {memory_text(plan.memory_mb)} of memory" if plan.memory_mb else ""
    if plan.cost and plan.cost.gpu_memory_mb:
        memory += f", {memory_text(plan.cost.gpu_memory_mb)} of a GPU's memory per trial"
    print_line(field("", f"about {plan.disk_mb:g} MB of disk (checkpoints, the best {exp['keep_top']} kept){memory}"))
    at_a_time = f"{plan.concurrent} at a time" if plan.concurrent else "as many at a time as the GPUs hold"
    print_line(f"runs in    {exp['storage']}, {at_a_time}")
    if plan.tracking:
        print_line(f"mirror     {plan.tracking}")
    if plan.cost:
        print_line(field("estimate", _basis_text(plan.cost)))
    for note in plan.notes:
        print_line(field("note", note))


def _trials_text(plan: Plan) -> str:
    trials = f"{plan.trials} trials" if plan.trials is not None else "as many trials as the budget allows"
    if plan.trainings is None:
        return trials
    about = "" if plan.experiment["search"]["budget"] else "about "
    return f"{trials}, {about}as much as {plan.trainings:g} whole trainings of the defaults"


def _finals_time(plan: Plan) -> str:
    from yolosweep.records.trial_columns import duration_text

    if plan.cost is None or not plan.final_trainings:
        return ""
    rounds = math.ceil(plan.final_trainings / max(plan.concurrent or 1, 1))
    return f", about {duration_text(rounds * plan.epochs_per_trial * plan.cost.epoch_seconds)}"


def _time_text(plan: Plan) -> str:
    from yolosweep.records.trial_columns import duration_text

    if plan.cost is None:
        return "; the time is estimated once the duration of an epoch is known, or with --measure"
    factor, epochs = plan.cost.factor, [plan.cost.epoch_seconds, plan.cost.epoch_seconds_most]
    each = " to ".join(dict.fromkeys(f"{seconds:.3g} s" for seconds in epochs))
    if plan.hours_at_most is None:
        trial = plan.epochs_per_trial * max(epochs)
        return f", up to about {duration_text(trial)} ({duration_text(trial * factor)}) per trial at {each} per epoch"
    hours = plan.hours_at_most * 3600
    least, most = duration_text(hours / factor), duration_text(hours * factor)
    return f", about {duration_text(hours)} ({least} to {most}) at {each} per epoch"


def _basis_text(cost: CostEstimate) -> str:
    from yolosweep.records.plan import Basis

    off = f"may be off by a factor of {cost.factor:g}"
    if cost.basis is Basis.MEASURED:
        return f"measured on this machine, {cost.at_a_time} at a time; {off}"
    if cost.basis is Basis.EARLIER_RUNS:
        return f"converted from epochs of earlier runs; {off} (--measure trains some batches)"
    return f"a rough model of an average CPU; {off} (--measure trains some batches)"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
