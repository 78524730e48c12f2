"""``yolosweep plan``: what a run would do, and what it can cost at most."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

from yolosweep.cli.experiment_checks import Checked
from yolosweep.cluster import checkpoint_needs
from yolosweep.errors import RunFolderError
from yolosweep.experiment import baseline
from yolosweep.experiment.choices import PRUNERS
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.runtime.resources import allot
from yolosweep.runtime.tune_adapter import named_cluster
from yolosweep.search.pruners.asha import rungs
from yolosweep.storage import address_of_run, cached_at
from yolosweep.storage.addresses import is_address
from yolosweep.tracking import choose_sinks

__all__ = ["describe_plan", "plan_of"]


def plan_of(checked: Checked) -> dict[str, Any]:
    """Return the plan as plain data.

    Raises:
        UsageError: ``track.wandb.mode: online`` without a key.
    """
    exp = checked.experiment
    search = exp.search
    epochs = int(exp.train["epochs"])
    trials = search.trials
    most = None if trials is None else trials * epochs
    if search.epoch_budget is not None:
        most = min(search.epoch_budget, most) if most is not None else search.epoch_budget
    slots = None if named_cluster(os.environ) else _local_slots(checked)
    runs = cached_at(str(address_of_run(exp.storage))) if is_address(exp.storage) else Path(exp.storage)
    seconds = _known_epoch_seconds(runs, checked)
    needs = checkpoint_needs(exp, checked.model_bytes)
    return {
        "experiment": exp.model_dump(mode="json"),
        "data": checked.dataset.model_dump(mode="json"),
        "model": str(checked.model),
        "trials": trials,
        "first_trial": baseline(exp)[0],
        "epochs_per_trial": epochs,
        "epochs_at_most": most,
        "rungs": rungs(search.grace_epochs or 1, search.reduction_factor, epochs)
        if PRUNERS[search.pruner].has_rungs
        else [],
        "concurrent": slots,
        "seconds_per_epoch": seconds,
        "hours_at_most": None
        if seconds is None or most is None
        else round(most * seconds / max(slots or 1, 1) / 3600, 3),
        "disk_mb": round(needs.storage_mb(slots or exp.resources.max_concurrent or 1) + (trials or 100) * 0.05, 1),
        "memory_mb": None if slots is None else slots * exp.backend.process_mb,
        "tracking": "; ".join(choice.line for choice in choose_sinks(exp.track, os.environ) if choice.line),
        "notes": list(checked.notes),
    }


def _local_slots(checked: Checked) -> int | None:
    """Return how many trials would run at a time here; None where GPUs decide it (they are not looked at)."""
    exp = checked.experiment
    if exp.resources.gpus_per_trial not in ("auto", 0, 0.0):
        return None
    resources = exp.resources.model_copy(update={"gpus_per_trial": 0.0})
    return allot(resources, [{"CPU": float(os.cpu_count() or 1)}], exp.search.trials).concurrent


def _known_epoch_seconds(storage: Path, checked: Checked) -> float | None:
    """Return the median seconds of an epoch from earlier runs of the same model on the same data, if there are any."""
    seconds: list[float] = []
    for ledger in sorted(storage.glob("*/ledger.jsonl"), reverse=True)[:10]:
        try:
            history = History.of(RunFolder(ledger.parent))
        except RunFolderError:
            continue
        same_data = history.started.dataset.fingerprint == checked.dataset.fingerprint
        if same_data and history.experiment["model"] == checked.experiment.model:
            seconds += [row.seconds for trial in history.trials.values() for row in trial.rows if row.seconds]
    return round(statistics.median(seconds), 3) if seconds else None


def describe_plan(plan: dict[str, Any]) -> None:
    """Print a plan for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    exp, search = plan["experiment"], plan["experiment"]["search"]
    images = ", ".join(f"{count} {split}" for split, count in plan["data"]["images"].items())
    console.print(f"[bold]{exp['name']}[/bold]: {exp['task']} with {plan['model']}")
    console.print(f"data       {plan['data']['source']} ({images}; {len(plan['data']['names'])} classes)")
    console.print(f"fixed      {_pairs(exp['train'])}, seed={exp['seed']}")
    table = Table("parameter", "searched", box=None, pad_edge=False)
    for name, parameter in search["parameters"].items():
        table.add_row(name, _pairs(parameter))
    console.print(table)
    trials = plan["trials"] if plan["trials"] is not None else "as many as the budget allows"
    console.print(
        f"search     {search['searcher']}, {search['mode']} {search['metric']}, {trials} trials, the defaults first"
    )
    console.print(f"trial 0    {_pairs(plan['first_trial'])}", markup=False)
    if plan["rungs"]:
        levels = ", ".join(map(str, plan["rungs"]))
        console.print(f"pruning    asha: the best 1/{search['reduction_factor']} go on after epochs {levels}")
    console.print(
        f"cost       at most {plan['epochs_at_most'] or '?'} epochs ({plan['epochs_per_trial']} a trial){_time(plan)}"
    )
    memory = f", about {plan['memory_mb']} MB of memory" if plan["memory_mb"] else ""
    console.print(
        f"           about {plan['disk_mb']:g} MB of disk (checkpoints, the best {exp['keep_top']} kept){memory}"
    )
    at_a_time = f"{plan['concurrent']} at a time" if plan["concurrent"] else "as many at a time as the GPUs hold"
    console.print(f"runs in    {exp['storage']}, {at_a_time}", markup=False)
    if plan["tracking"]:
        console.print(f"mirror     {plan['tracking']}", markup=False)
    for note in plan["notes"]:
        console.print(f"note       {note}", markup=False)


def _time(plan: dict[str, Any]) -> str:
    if plan["hours_at_most"] is None:
        return "; the time is forecast once an epoch is known"
    return f", about {plan['hours_at_most']:g} h at {plan['seconds_per_epoch']:g} s an epoch in earlier runs"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
