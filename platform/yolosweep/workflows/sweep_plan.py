"""The plan of a run: what it would do, and what it costs at most."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from yolosweep.backends import backend_for
from yolosweep.cluster import checkpoint_needs
from yolosweep.errors import ClusterError, RunFolderError
from yolosweep.experiment import Experiment, baseline, finals_line, objectives_line
from yolosweep.experiment.schema import Search
from yolosweep.experiment.search_choices import PRUNERS
from yolosweep.image_cache import usable_memory
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records.plan import CostEstimate, Plan
from yolosweep.records.short_training import Probe
from yolosweep.runtime.trial_resources import Allocation, allot, of_this_machine
from yolosweep.runtime.tune_adapter import joins_cluster
from yolosweep.search.pruners.asha import rungs
from yolosweep.storage import address_of_run, cached_at
from yolosweep.storage.addresses import is_address
from yolosweep.tracking import choose_sinks
from yolosweep.workflows.cost_estimate import estimate_cost
from yolosweep.workflows.experiment_checks import Checked
from yolosweep.workflows.measured_plan import probes_of
from yolosweep.workflows.memory_check import memory_faults
from yolosweep.workflows.progress_listener import Listener

__all__ = ["plan_of"]


def plan_of(checked: Checked, *, measure: Listener | None = None) -> Plan:
    """Return what a run would do and cost.

    Args:
        checked: the experiment.
        measure: train some batches on this machine to estimate the cost; this listener receives the progress.

    Raises:
        TrainingError: a measured training failed.
        UsageError: ``mode: online`` of a tracker whose credentials are missing.
    """
    exp = checked.experiment
    search, epochs = exp.search, int(exp.train["epochs"])
    most = _epochs_at_most(search, epochs)
    allotted = None if joins_cluster(os.environ) else _local_allocation(checked)
    concurrent = allotted.concurrent if allotted else None
    probes = probes_of(checked, measure) if measure else ()
    cost = _estimate(checked, allotted, probes, measured=measure is not None)
    seconds = None if cost is None else round((cost.epoch_seconds + cost.epoch_seconds_most) / 2, 3)
    disk = checkpoint_needs(*checked.largest)
    return Plan(
        experiment=exp.model_dump(mode="json"),
        data=checked.dataset,
        model=str(checked.model),
        trials=search.trials,
        final_trainings=search.finals.trainings if search.finals else 0,
        finals=finals_line(exp),
        objectives=objectives_line(exp),
        first_trial=baseline(exp)[0],
        epochs_per_trial=epochs,
        epochs_at_most=most,
        rungs=tuple(rungs(search.grace_epochs or 1, search.reduction_factor, epochs))
        if PRUNERS[search.pruner].has_rungs
        else (),
        concurrent=concurrent,
        seconds_per_epoch=seconds,
        hours_at_most=None if cost is None else _hours_at_most(search, epochs, cost, concurrent or 1),
        trainings=_trainings(search, epochs, cost, concurrent),
        disk_mb=round(
            disk.storage_mb(concurrent or exp.resources.max_concurrent or 1) + (search.trials or 100) * 0.05, 1
        ),
        memory_mb=None if concurrent is None or cost is None else round(concurrent * cost.memory_mb),
        tracking="; ".join(choice.line for choice in choose_sinks(exp.track, os.environ) if choice.line),
        notes=(*_of_machine(exp, cost, concurrent, probes), *checked.notes, *_of_each_model(checked, allotted)),
        cost=cost,
    )


def _of_machine(
    exp: Experiment, cost: CostEstimate | None, concurrent: int | None, probes: Sequence[Probe]
) -> tuple[str, ...]:
    """Return what is too small or missing, of what is known of this machine."""
    at_a_time = concurrent or (probes[0].at_a_time if probes else 0)
    if cost is None or not at_a_time:
        return _too_few_gpus(exp)
    asked = exp.resources.gpus_per_trial
    gpus = 1.0 if asked == "auto" else float(asked)
    return tuple(memory_faults(cost, at_a_time, usable_memory() / 2**20, gpus, probes))


def _estimate(
    checked: Checked, allotted: Allocation | None, probes: Sequence[Probe], *, measured: bool
) -> CostEstimate | None:
    exp = checked.experiment
    return estimate_cost(
        exp,
        checked.dataset.images,
        model_bytes=checked.model_bytes,
        largest=checked.largest,
        cores=allotted.cpus if allotted else None,
        earlier=() if measured else _earlier(_local_copy(exp.storage), checked),
        probes=probes,
    )


def _of_each_model(checked: Checked, allotted: Allocation | None) -> list[str]:
    """Return one line per model that is searched: what one of its trainings takes."""
    found, cores = list[str](), allotted.cpus if allotted else None
    for name, size in checked.sizes.items() if checked.others else ():
        exp = checked.experiment.with_model(name)
        cost = estimate_cost(exp, checked.dataset.images, model_bytes=size, cores=cores or 1.0)
        time = (
            "" if cores is None or cost is None else f"about {cost.epoch_seconds:.3g} s an epoch by the rough model, "
        )
        memory = "" if cost is None else f"{cost.memory_mb:.0f} MiB of memory, "
        found.append(
            f"{name}: {time}{memory}{checkpoint_needs(exp, size).trial_mb:.0f} MB of checkpoints while it trains"
        )
    return found


def _epochs_at_most(search: Search, epochs: int) -> int | None:
    by_trials = None if search.trials is None else search.trials * epochs
    return min((limit for limit in (by_trials, search.epoch_budget) if limit is not None), default=None)


def _hours_at_most(search: Search, epochs: int, cost: CostEstimate, concurrent: int) -> float | None:
    """Return how long the budgets in epochs and in trainings last, the shortest one."""
    most, middling = _epochs_at_most(search, epochs), (cost.epoch_seconds + cost.epoch_seconds_most) / 2
    by_epochs = None if most is None else most * middling
    by_trainings = None if search.trainings is None else search.trainings * epochs * cost.epoch_seconds
    seconds = min((one for one in (by_epochs, by_trainings) if one is not None), default=None)
    return None if seconds is None else round(seconds / max(concurrent, 1) / 3600, 3)


def _trainings(search: Search, epochs: int, cost: CostEstimate | None, concurrent: int | None) -> float | None:
    """Return how many whole trainings of the defaults the budget is worth."""
    by_time = None
    if search.time_budget is not None and cost is not None and concurrent and cost.epoch_seconds > 0:
        by_time = search.time_budget * concurrent / (epochs * cost.epoch_seconds)
    found = min((one for one in (search.trainings, by_time) if one is not None), default=None)
    return None if found is None else round(found, 1)


def _local_copy(storage: str) -> Path:
    """Return the folder of runs on this machine: the storage itself, or the cache of a bucket."""
    return cached_at(str(address_of_run(storage))) if is_address(storage) else Path(storage)


def _local_allocation(checked: Checked) -> Allocation | None:
    """Return what trials would get on this machine; None if GPUs decide (they are not counted)."""
    exp = checked.experiment
    if exp.resources.gpus_per_trial not in ("auto", 0, 0.0):
        return None
    resources = exp.resources.model_copy(update={"gpus_per_trial": 0.0})
    return allot(resources, [{"CPU": float(os.cpu_count() or 1)}], exp.search.trials)


def _too_few_gpus(exp: Experiment) -> tuple[str, ...]:
    """Return why a run on this machine alone would be refused for its GPUs; a cluster may have them."""
    on_gpus = exp.resources.gpus_per_trial not in ("auto", 0, 0.0)
    if joins_cluster(os.environ) or not on_gpus or find_spec("ray") is None:
        return ()
    try:
        allot(exp.resources, [of_this_machine()], exp.search.trials)
    except ClusterError as error:
        return (f"on this machine alone, a run is refused: {error}",)
    return ()


def _earlier(storage: Path, checked: Checked) -> list[History]:
    """Return earlier sweeps of these data with this backend, newest first."""
    found: list[History] = []
    for ledger in sorted(storage.glob("*/ledger.jsonl"), reverse=True)[:10]:
        try:
            history = History.of(RunFolder(ledger.parent))
        except RunFolderError:
            continue
        same_data = history.started.dataset.fingerprint == checked.dataset.fingerprint
        if same_data and backend_for(str(history.experiment["model"])) is checked.experiment.backend:
            found.append(history)
    return found
