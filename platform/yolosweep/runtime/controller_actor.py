"""The controller as a Ray actor: it imports the driver's credentials before it opens the run folder."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

from yolosweep.cluster import Admission, import_credentials, preparation, reply_fault
from yolosweep.cluster.node_draining import NOTICE_TTL_S
from yolosweep.errors import ClusterError
from yolosweep.experiment import baseline, settings_of
from yolosweep.records import PreparedDataset, TrialRequest
from yolosweep.search.controller import SweepController
from yolosweep.search.trial_generator import Suggestion
from yolosweep.search.worker_table import Look

__all__ = ["ControllerActor"]


class ControllerActor(SweepController):
    """``SweepController`` in a process that has the node's environment, not the driver's.

    Args:
        root, dataset, arguments: see ``SweepController``.
        nodes: ids of the nodes that passed their checks at the start.
        admission: what other nodes must provide; None to admit all nodes.
    """

    def __init__(
        self,
        root: str,
        *,
        dataset: Mapping[str, Any],
        nodes: Collection[str] = (),
        admission: Admission | None = None,
        **arguments: Any,
    ) -> None:
        import_credentials()
        super().__init__(root, dataset=dataset, **arguments)
        self._preparation = preparation(root, PreparedDataset.model_validate(dataset))
        self._good, self._bad, self._admission = set(nodes), dict[str, str](), admission
        self._draining, self._avoided, self._away = dict[str, float](), set[str](), set[str]()

    def ready(self) -> None:
        """Return once the first line of the ledger is on disk."""

    def preparation(self) -> tuple[str, PreparedDataset] | None:
        """Return the arguments of ``prepare_node``; None if nodes share run and data."""
        return self._preparation

    def example(self) -> TrialRequest:
        """Return a training request with the default parameters, to prepare a node before its first trial."""
        parameters = baseline(self._exp)[0]
        point = Suggestion(parameters=parameters, settings=settings_of(self._exp, parameters), identity="")
        return point.request(self._folder.sweep, 0, self._exp, self._now)

    def may_train(self, node: str) -> Literal["good", "bad"] | Admission:
        """Return whether trials may run on a node, or what it must be checked for first."""
        if node in self._bad:
            return "bad"
        return "good" if self._admission is None or node in self._good else self._admission

    def time(self) -> float:
        """Return the seconds since the epoch by the clock of the driver's node."""
        return time.time()

    def node_checked(self, node: str, host: str, fault: str, reply: str) -> None:
        """Record the check of a node that joined.

        Args:
            node: Ray's id of it.
            host: its hostname.
            fault: why no trial may run there, or ''.
            reply: name of the file that it wrote into the storage.
        """
        if node in self._good or node in self._bad:  # two of its workers checked it at the same time
            return
        storage = self._admission.probe.storage if self._admission is not None else None
        if storage is not None and not fault and (unseen := reply_fault(storage, reply)):
            fault = f"storage: {unseen}"
        if fault:
            self._bad[node] = fault
        else:
            self._good.add(node)
        self.note(f"node {host} joined and is excluded: {fault}" if fault else f"node {host} joined")

    def begin(self, trial: str, node: str = "") -> TrialRequest | None:
        """As ``SweepController.begin``."""
        self._away.discard(trial)
        return super().begin(trial, node)

    def excluded(self, trial: str) -> tuple[str, ...]:
        """As ``SweepController.excluded``; also the nodes that failed their checks or are about to shut down."""
        return (*super().excluded(trial), *sorted(self._avoid()))

    def _avoid(self) -> set[str]:
        now = self._clock()
        return {*self._bad, *(node for node, since in self._draining.items() if now - since < NOTICE_TTL_S)}

    def look(self, busy: Mapping[str, str]) -> Look:
        """As ``SweepController.look``; where nodes were excluded or came back, what waits is placed again."""
        look, avoided = super().look(busy), self._avoided
        self._avoided = self._avoid()
        waiting = self._offered - self._workers.running.keys()
        return look if avoided == self._avoided else replace(look, settled=tuple(waiting))

    def preempt(self, trial: str, attempt: int = 0, node: str = "") -> None:
        """As ``SweepController.preempt``, because of this node."""
        self._draining[node] = self._clock()
        super().preempt(trial, attempt)

    def cordoned(self, trial: str, draining: str = "") -> None:
        """Note that a process ends because its node is about to shut down, or a node of its ranks may not train.

        If no trial is on good nodes, the sweep ends.
        """
        self.leaving(trial)
        if draining:
            self._draining[draining] = self._clock()
            return
        self._away.add(trial)
        if not self._workers.running and self._placed() <= self._away:
            faults = "; ".join(sorted(set(self._bad.values())))
            fix = "repair or remove these nodes, then resume"
            self.cancel(ClusterError(f"all workers are on excluded nodes ({faults}); {fix}"))
