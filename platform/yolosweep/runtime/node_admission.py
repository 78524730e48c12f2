"""Which nodes may run trials: those that passed their checks, at the start or when they joined."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from yolosweep.cluster import Admission
from yolosweep.cluster.preemption import NOTICE_TTL_S

__all__ = ["Nodes"]


class Nodes:
    """The admission status of all nodes.

    Args:
        good: ids of the nodes that passed their checks at the start.
        admission: what other nodes must provide; None to admit all nodes.
    """

    def __init__(self, good: Collection[str], admission: Admission | None) -> None:
        self._good, self._bad, self._admission = set(good), dict[str, str](), admission
        self._draining: dict[str, float] = {}

    @property
    def faults(self) -> list[str]:
        """Why nodes that joined are excluded."""
        return sorted(set(self._bad.values()))

    def drain(self, node: str, now: float) -> None:
        """Note that a node is about to shut down."""
        self._draining[node] = now

    def excluded(self, now: float) -> list[str]:
        """Return the nodes on which nothing may be placed; a node that did not shut down after all is none of them."""
        draining = (node for node, since in self._draining.items() if now - since < NOTICE_TTL_S)
        return sorted({*self._bad, *draining})

    def status(self, node: str) -> Literal["good", "bad"] | Admission:
        """Return whether trials may run on a node, or what it must be checked for first."""
        if node in self._bad:
            return "bad"
        return "good" if self._admission is None or node in self._good else self._admission

    def record(self, node: str, host: str, fault: str) -> str | None:
        """Record a node's fault, or ''; return the note for the ledger, or None if the node is known."""
        if node in self._good or node in self._bad:
            return None
        if fault:
            self._bad[node] = fault
            return f"node {host} joined and is excluded: {fault}"
        self._good.add(node)
        return f"node {host} joined"
