"""How much of the cluster one trial gets, and how many trials run concurrently."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from yolosweep.cluster import Allocation, fits
from yolosweep.errors import ClusterError
from yolosweep.experiment.schema import Resources

__all__ = ["Allocation", "allot", "of_this_machine", "ranks_of"]


def ranks_of(resources: Resources) -> int:
    """Return the number of ranks per trial."""
    if resources.workers is not None:
        return resources.workers
    return 1 if resources.gpus_per_trial == "auto" else max(1, int(resources.gpus_per_trial))


def of_this_machine() -> dict[str, float]:
    """Return the ``CPU`` and ``GPU`` counts that Ray will find here, without starting it."""
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec

    found = ResourceAndLabelSpec().resolve(is_head=True)
    return {"CPU": float(found.num_cpus), "GPU": float(found.num_gpus)}


def allot(
    resources: Resources,
    nodes: Sequence[Mapping[str, float]],
    trials: int | None,
    *,
    may_grow: bool = False,
    excluded: Sequence[str] = (),
) -> Allocation:
    """Resolve ``auto`` and count the concurrent trials; only the ranks of ``workers`` may spread over nodes.

    Args:
        resources: the experiment's resources.
        nodes: per node, its ``CPU`` and ``GPU`` counts.
        trials: number of trials, an upper limit.
        may_grow: whether nodes may join: then ``max_concurrent`` trials are allotted even if fewer fit now.
        excluded: why other nodes do not count, one sentence each.

    Raises:
        ClusterError: no node can run a single trial.
    """
    ranks, spread, given = ranks_of(resources), resources.workers is not None, resources.gpus_per_trial
    total_gpus = sum(node.get("GPU", 0.0) for node in nodes)
    gpus = (float(ranks) if total_gpus else 0.0) if given == "auto" else float(given)
    largest = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    fair = ranks * _fair_cpus(nodes, gpus / ranks, largest / (1 if spread else ranks))
    cpus = fair if resources.cpus_per_trial == "auto" else float(resources.cpus_per_trial)
    if spread:
        concurrent = sum(fits(node, cpus / ranks, gpus / ranks) for node in nodes) // ranks
    else:
        concurrent = sum(fits(node, cpus, gpus) for node in nodes)
    if concurrent == 0:
        have = ", ".join(f"{node.get('CPU', 0):g} CPU + {node.get('GPU', 0):g} GPU" for node in nodes) or "no nodes"
        where = f"in {ranks} equal parts" if spread else "on one node"
        others = "".join(f"\n  {line}" for line in excluded)
        whose, repair = ("good nodes", f", or repair the excluded nodes:{others}") if others else ("nodes", "")
        on_cpu = gpus and not any(node.get("GPU") for node in nodes)
        fix = "lower resources.cpus_per_trial or resources.gpus_per_trial"
        fix = "no GPU is found: set resources.gpus_per_trial=0 to train on the CPU" if on_cpu else fix
        raise ClusterError(
            f"resources: one trial needs {cpus:g} CPU and {gpus:g} GPU {where}, but the {whose} have {have}; "
            f"{fix}{repair}"
        )
    if may_grow and resources.max_concurrent is not None:
        concurrent = max(concurrent, resources.max_concurrent)
    limits = [limit for limit in (resources.max_concurrent, trials) if limit is not None]
    return Allocation(cpus=cpus, gpus=gpus, concurrent=min([concurrent, *limits]), world_size=ranks, spread=spread)


def _fair_cpus(nodes: Sequence[Mapping[str, float]], gpus: float, largest: float) -> float:
    """Return a rank's cores: on GPUs, its GPUs' share of the node, at most 8; on CPU, half a node, at most 4."""
    if gpus:
        shares = [node["CPU"] / (node["GPU"] / gpus) for node in nodes if node.get("GPU") and node.get("CPU")]
        return float(max(1, min(8, math.floor(min(shares, default=1)))))
    return float(max(1, min(4, math.floor(largest / 2))))
