"""Which nodes may run trials: those that were looked at and found good, at the start or when they joined."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from yolosweep.cluster import Admission

__all__ = ["Nodes"]


class Nodes:
    """What is known of the nodes.

    Args:
        good: ids of the nodes that were found good at the start.
        admission: what others are asked for; None where all nodes are taken as they are.
    """

    def __init__(self, good: Collection[str], admission: Admission | None) -> None:
        self._good, self._bad, self._admission = set(good), dict[str, str](), admission

    @property
    def faults(self) -> list[str]:
        """What was found wrong with nodes that joined."""
        return sorted(set(self._bad.values()))

    def ask(self, node: str) -> Literal["good", "bad"] | Admission:
        """Return whether trials may run on a node, or what it has to be asked first."""
        if node in self._bad:
            return "bad"
        return "good" if self._admission is None or node in self._good else self._admission

    def take(self, node: str, host: str, fault: str) -> str | None:
        """Take what a node answered (its fault, or ''); return what is to be noted, where it is news."""
        if node in self._good or node in self._bad:
            return None
        if fault:
            self._bad[node] = fault
            return f"node {host} joined and is left out: {fault}"
        self._good.add(node)
        return f"node {host} joined"
