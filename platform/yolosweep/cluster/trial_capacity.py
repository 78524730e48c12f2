"""The resources of one trial, and how many trials fit on a node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Allocation", "fits"]


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The resources of one trial, and how many trials run concurrently."""

    cpus: float
    gpus: float
    concurrent: int
    world_size: int = 1
    """Ranks per trial."""
    spread: bool = False
    """Whether the ranks of one trial may run on several nodes."""

    def trials_on(self, node: Mapping[str, float]) -> int:
        """Return how many trials may use a node concurrently, including those with only one rank there."""
        return min(self.ranks_on(node), self.concurrent) if self.spread else self.ranks_on(node) // self.world_size

    def ranks_on(self, node: Mapping[str, float]) -> int:
        """Return how many processes may train on a node concurrently."""
        ranks = self.world_size
        if self.spread:
            return min(fits(node, self.cpus / ranks, self.gpus / ranks), self.concurrent * ranks)
        return min(fits(node, self.cpus, self.gpus), self.concurrent) * ranks


def fits(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return how many trials of this size fit on a node with these ``CPU`` and ``GPU`` counts."""
    by_cpu = math.floor(node.get("CPU", 0.0) / cpus + 1e-9)
    if not gpus:
        return by_cpu
    whole = math.floor(node.get("GPU", 0.0))
    # Ray never splits a fraction across GPUs: three trials of 0.4 need two GPUs.
    return min(by_cpu, whole * math.floor(1 / gpus + 1e-9) if gpus <= 1 else whole // int(gpus))
