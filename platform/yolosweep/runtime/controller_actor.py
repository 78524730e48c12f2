"""The controller as a Ray actor: it imports the driver's credentials before it opens the run folder."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Literal

from yolosweep.cluster import Admission, import_credentials, preparation, probe_arrived
from yolosweep.experiment import baseline, settings_of
from yolosweep.records import PreparedDataset, TrialRequest
from yolosweep.runtime.node_admission import Nodes
from yolosweep.search.controller import SweepController
from yolosweep.search.trial_generator import Suggestion

__all__ = ["ControllerActor"]


class ControllerActor(SweepController):
    """See ``SweepController``; its process has the node's environment, not the driver's.

    Args:
        root, dataset, arguments: as there.
        nodes, admission: see :class:`yolosweep.runtime.node_admission.Nodes`.
        places: how many trials run at a time at most; 0 where no node can join.
    """

    def __init__(
        self,
        root: str,
        *,
        dataset: Mapping[str, Any],
        nodes: Collection[str] = (),
        admission: Admission | None = None,
        places: int = 0,
        **arguments: Any,
    ) -> None:
        import_credentials()
        super().__init__(root, dataset=dataset, **arguments)
        self._preparation = preparation(root, PreparedDataset.model_validate(dataset))
        self._nodes, self._storage = Nodes(nodes, admission), admission.asked.storage if admission else None
        self._all, self._of_no_use = places, set[int]()

    def ready(self) -> None:
        """Answer once the first line of the ledger is on disk."""

    def preparation(self) -> tuple[str, PreparedDataset] | None:
        """Return what a node must have before a trial runs on it; None where it shares all of it with this one."""
        return self._preparation

    def example(self) -> TrialRequest:
        """Return a training of the defaults, by which a node can be made ready before it is asked to run one."""
        parameters = baseline(self._exp)[0]
        point = Suggestion(parameters=parameters, settings=settings_of(self._exp, parameters), identity="")
        return point.request(self._folder.sweep, 0, self._exp, self._now)

    def may_train(self, node: str) -> Literal["good", "bad"] | Admission:
        """Return whether trials may run on a node, or what it has to be asked first."""
        return self._nodes.ask(node)

    def time(self) -> float:
        """Return the seconds since the epoch by the clock of the driver's node."""
        return time.time()

    def looked_at(self, node: str, host: str, fault: str, mark: str) -> None:
        """Take what was found on a node that joined: why no trial may run there, or '', and what it wrote."""
        if self._storage is not None:
            unseen = probe_arrived(self._storage, mark)
            fault = fault or (f"storage: {unseen}" if unseen else "")
        if (news := self._nodes.take(node, host, fault)) is not None:
            self.note(news)

    def begin(self, slot: int) -> TrialRequest | Literal["wait"] | None:
        """As the controller's."""
        answer = super().begin(slot)
        if answer is None:
            self._of_no_use.add(slot)
        return answer

    def lost(self, slot: int, error: str) -> None:
        """As the controller's; the place is taken anew, maybe elsewhere."""
        self._of_no_use.discard(slot)
        super().lost(slot, error)

    def parked(self, slot: int) -> None:
        """Take note that a place is held on a node that was left out. No place moves: where all are, the sweep ends."""
        self._of_no_use.add(slot)
        if len(self._of_no_use) == self._all:
            faults = "; ".join(self._nodes.faults)
            self.cancel(f"every place is on a node that was left out ({faults}); mend or remove it, then go on")
