"""What one trial gets of a cluster, and how many trials fit on a node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Allocation", "fits"]


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The resources of one trial, and how many trials run at a time."""

    cpus: float
    gpus: float
    concurrent: int
    world_size: int = 1
    """Ranks of one trial."""
    spread: bool = False
    """Whether the ranks of a trial may lie on several nodes."""

    def trials_on(self, node: Mapping[str, float]) -> int:
        """Return how many trials a node may have at a time, also where it has one rank of them."""
        return min(self.ranks_on(node), self.concurrent) if self.spread else self.ranks_on(node) // self.world_size

    def ranks_on(self, node: Mapping[str, float]) -> int:
        """Return how many processes may train on a node at a time."""
        ranks = self.world_size
        if self.spread:
            return min(fits(node, self.cpus / ranks, self.gpus / ranks), self.concurrent * ranks)
        return min(fits(node, self.cpus, self.gpus), self.concurrent) * ranks


def fits(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return how many times so many cores and GPUs are there on a node with these ``CPU`` and ``GPU`` counts."""
    by_cpu = math.floor(node.get("CPU", 0.0) / cpus + 1e-9)
    if not gpus:
        return by_cpu
    whole = math.floor(node.get("GPU", 0.0))
    # A share is of one GPU: three trials of 0.4 need two GPUs, as Ray places them.
    return min(by_cpu, whole * math.floor(1 / gpus + 1e-9) if gpus <= 1 else whole // int(gpus))
