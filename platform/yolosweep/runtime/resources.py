"""What the cluster has, and how much of it one trial gets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from yolosweep.cluster import Allocation, fits
from yolosweep.errors import ClusterError
from yolosweep.experiment.schema import Resources

__all__ = ["Allocation", "allot", "ranks_of"]


def ranks_of(asked: Resources) -> int:
    """Return how many ranks train one trial together."""
    if asked.workers is not None:
        return asked.workers
    return 1 if asked.gpus_per_trial == "auto" else max(1, int(asked.gpus_per_trial))


def allot(
    asked: Resources,
    nodes: Sequence[Mapping[str, float]],
    trials: int | None,
    *,
    may_grow: bool = False,
    left_out: Sequence[str] = (),
) -> Allocation:
    """Decide ``auto`` and count the slots, node by node: only the ranks of ``workers`` may lie on several.

    Args:
        asked: the experiment's resources.
        nodes: per node its ``CPU`` and ``GPU`` counts.
        trials: number of trials, an upper limit of the slots.
        left_out: why other nodes do not count, a sentence each.
        may_grow: nodes may join: as many slots as ``max_concurrent`` says are asked for, also where fewer fit now.

    Raises:
        ClusterError: not one trial fits on any node.
    """
    ranks, spread = ranks_of(asked), asked.workers is not None
    total_gpus = sum(node.get("GPU", 0.0) for node in nodes)
    gpus = (float(ranks) if total_gpus else 0.0) if asked.gpus_per_trial == "auto" else float(asked.gpus_per_trial)
    largest = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
    fair = ranks * _fair_cpus(nodes, gpus / ranks, largest / (1 if spread else ranks))
    cpus = fair if asked.cpus_per_trial == "auto" else float(asked.cpus_per_trial)
    if spread:
        slots = sum(fits(node, cpus / ranks, gpus / ranks) for node in nodes) // ranks
    else:
        slots = sum(fits(node, cpus, gpus) for node in nodes)
    if slots == 0:
        have = ", ".join(f"{node.get('CPU', 0):g} CPU + {node.get('GPU', 0):g} GPU" for node in nodes) or "no nodes"
        where = f"in {ranks} equal parts" if spread else "on one node"
        others = "".join(f"\n  {line}" for line in left_out)
        whose, mend = ("good nodes", f", or mend the nodes that are left out:{others}") if others else ("nodes", "")
        raise ClusterError(
            f"resources: one trial needs {cpus:g} CPU and {gpus:g} GPU {where}, but the {whose} have {have}; "
            f"lower resources.cpus_per_trial or resources.gpus_per_trial{mend}"
        )
    if may_grow and asked.max_concurrent is not None:
        slots = max(slots, asked.max_concurrent)
    limits = [limit for limit in (asked.max_concurrent, trials) if limit is not None]
    return Allocation(cpus=cpus, gpus=gpus, concurrent=min([slots, *limits]), world_size=ranks, spread=spread)


def _fair_cpus(nodes: Sequence[Mapping[str, float]], gpus: float, largest: float) -> float:
    """On GPUs: the cores that belong to a trial's share of a GPU node, up to 8. On CPU: half a node, up to 4."""
    if gpus:
        shares = [node["CPU"] / (node["GPU"] / gpus) for node in nodes if node.get("GPU") and node.get("CPU")]
        return float(max(1, min(8, math.floor(min(shares, default=1)))))
    return float(max(1, min(4, math.floor(largest / 2))))
