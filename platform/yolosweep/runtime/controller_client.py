"""The sweep controller as other processes see it: one typed method per call of the actor."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from yolosweep.cluster import Admission
from yolosweep.errors import ClusterError, YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, EpochResult, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.records.activity import Activity
from yolosweep.runtime.controller_actor import ControllerActor
from yolosweep.search.trial_generator import Offer
from yolosweep.search.worker_table import Look

__all__ = ["NAMESPACE", "ControllerClient"]

NAMESPACE = "yolosweep"

_ANSWER_S = 900.0
"""The controller answers within this time, or its process hangs; it waits out outages of the storage of 5 minutes."""


class ControllerClient:
    """Calls the controller and waits for its answers.

    Raises:
        YolosweepError: from any method, what the controller raised.
        ClusterError: from any method, the controller's process is gone, or did not answer and was killed.
    """

    def __init__(self, actor: Any, name: str, *, answer_s: float = _ANSWER_S) -> None:
        self._actor, self.name, self._answer_s = actor, name, answer_s
        self.trouble: YolosweepError | None = None
        """What a call raised first, because Ray Tune wraps some of what is raised inside of it."""

    @classmethod
    def start(cls, root: RunFolder, arguments: dict[str, Any]) -> ControllerClient:
        """Start the controller on this node; return once the first line of its ledger is on disk.

        Args:
            root: the run folder.
            arguments: of ``ControllerActor``.
        """
        name = f"controller-{root.sweep}-{secrets.token_hex(4)}"
        # On the driver's node: the driver reads the ledger the controller writes, whatever the storage is.
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        actor = (
            ray.remote(ControllerActor)
            .options(name=name, namespace=NAMESPACE, num_cpus=0, scheduling_strategy=here)
            .remote(root.address, **arguments)
        )
        client = cls(actor, name)
        client._ask("ready")
        return client

    @classmethod
    @contextlib.contextmanager
    def running(cls, root: RunFolder, arguments: dict[str, Any]) -> Iterator[ControllerClient]:
        """Start the controller for the ``with`` block, as :meth:`start` does.

        Its process ends with the block: in a session that stays open, it would hold the run for as long.
        """
        client = cls.start(root, arguments)
        try:
            yield client
        finally:
            with contextlib.suppress(ray.exceptions.RayError, ValueError):
                ray.kill(client._actor)

    @classmethod
    def named(cls, name: str) -> ControllerClient:
        """Return the client of a controller that runs.

        Raises:
            ValueError: there is none of that name.
        """
        return cls(ray.get_actor(name, namespace=NAMESPACE), name)

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return self._answer(method, *arguments)
        except YolosweepError as error:
            self.trouble = self.trouble or error
            raise

    def _answer(self, method: str, *arguments: Any) -> Any:
        try:
            return ray.get(getattr(self._actor, method).remote(*arguments), timeout=self._answer_s)
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(self._actor)  # it holds the ledger, which the next one has to write
            raise ClusterError(
                f"the process that keeps the ledger did not answer for {self._answer_s:g} s and was killed"
            ) from error
        except ray.exceptions.RayTaskError as error:
            raise error.cause if getattr(error, "cause", None) is not None else error from error
        except ray.exceptions.RayActorError as error:
            raise ClusterError("the process that keeps the ledger was lost") from error

    def suggest(self) -> Offer | Literal["wait"] | None:
        """See ``SweepController.suggest``."""
        return cast("Offer | Literal['wait'] | None", self._ask("suggest"))

    def withdrawn(self, trial: str) -> None:
        """See ``SweepController.withdrawn``."""
        self._ask("withdrawn", trial)

    def excluded(self, trial: str) -> tuple[str, ...]:
        """See ``ControllerActor.excluded``."""
        return tuple(self._ask("excluded", trial))

    def begin(self, trial: str, node: str) -> TrialRequest | None:
        """See ``SweepController.begin``."""
        return cast("TrialRequest | None", self._ask("begin", trial, node))

    def row(self, trial: str, row: EpochResult, checkpoint: Checkpoint | None, attempt: int) -> Verdict:
        """See ``SweepController.row``."""
        return cast(Verdict, self._ask("row", trial, row, checkpoint, attempt))

    def verdict(self, trial: str, attempt: int) -> Verdict:
        """See ``SweepController.verdict``."""
        return cast(Verdict, self._ask("verdict", trial, attempt))

    def ended(self, record: TrialRecord, attempt: int) -> bool:
        """See ``SweepController.ended``."""
        return bool(self._ask("ended", record, attempt))

    def rank_failed(self, rank: int, record: TrialRecord, attempt: int) -> None:
        """See ``SweepController.rank_failed``."""
        self._ask("rank_failed", rank, record, attempt)

    def preempt(self, trial: str, attempt: int) -> None:
        """See ``SweepController.preempt``."""
        self._ask("preempt", trial, attempt)

    def heartbeat(self, worker: str, activity: Activity | None) -> None:
        """See ``SweepController.heartbeat``."""
        self._ask("heartbeat", worker, activity)

    def look(self, busy: Mapping[str, str]) -> Look:
        """See ``SweepController.look``."""
        return cast(Look, self._ask("look", dict(busy)))

    def leaving(self, trial: str) -> None:
        """See ``SweepController.leaving``."""
        self._ask("leaving", trial)

    def lost(self, trial: str, error: str) -> None:
        """See ``SweepController.lost``."""
        self._ask("lost", trial, error)

    def cordoned(self, trial: str, node: str) -> None:
        """See ``ControllerActor.cordoned``."""
        self._ask("cordoned", trial, node)

    def over(self) -> bool:
        """See ``SweepController.over``."""
        return bool(self._ask("over"))

    def close(self) -> str:
        """See ``SweepController.close``."""
        return str(self._ask("close"))

    def preparation(self) -> tuple[str, PreparedDataset] | None:
        """See ``ControllerActor.preparation``."""
        return cast("tuple[str, PreparedDataset] | None", self._ask("preparation"))

    def example(self) -> TrialRequest:
        """See ``ControllerActor.example``."""
        return cast(TrialRequest, self._ask("example"))

    def may_train(self, node: str) -> Literal["good", "bad"] | Admission:
        """See ``ControllerActor.may_train``."""
        return cast("Literal['good', 'bad'] | Admission", self._ask("may_train", node))

    def node_checked(self, node: str, host: str, fault: str, reply: str) -> None:
        """See ``ControllerActor.node_checked``."""
        self._ask("node_checked", node, host, fault, reply)

    def time(self) -> float:
        """See ``ControllerActor.time``."""
        return float(self._ask("time"))

    def cancel(self, reason: str) -> None:
        """See ``SweepController.cancel``; does not wait, so a signal handler may call it."""
        self._actor.cancel.remote(reason)
