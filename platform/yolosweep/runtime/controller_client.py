"""The sweep controller as other processes see it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from yolosweep.errors import ClusterError, YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.runtime.controller_actor import ControllerActor

__all__ = ["NAMESPACE", "ControllerClient"]

NAMESPACE = "yolosweep"

_ANSWER_S = 900.0
"""The controller answers within this time, or its process hangs; it waits out outages of the storage of 5 minutes."""


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _passed_on(
    method: Callable[Concatenate[ControllerActor, _P], _R],
) -> Callable[Concatenate[ControllerClient, _P], _R]:
    """Return the method of the client that calls this one of the controller."""

    def call(client: ControllerClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return cast(_R, client._ask(method.__name__, *args, **kwargs))

    call.__doc__ = method.__doc__
    return call


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
    @contextlib.contextmanager
    def running(cls, root: RunFolder, arguments: dict[str, Any]) -> Iterator[ControllerClient]:
        """Start the controller on this node for the ``with`` block, once the first line of its ledger is on disk.

        Its process ends with the block: in a session that stays open, it would hold the run for as long.

        Args:
            root: the run folder.
            arguments: of ``ControllerActor``.
        """
        name = f"controller-{root.sweep}-{secrets.token_hex(4)}"
        # On the driver's node: the driver reads the ledger the controller writes, whatever the storage is.
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        options = {"name": name, "namespace": NAMESPACE, "num_cpus": 0, "scheduling_strategy": here}
        client = cls(ray.remote(ControllerActor).options(**options).remote(root.address, **arguments), name)
        client._ask("ready")
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

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._answer(getattr(self._actor, method).remote(*args, **kwargs))
        except YolosweepError as error:
            self.trouble = self.trouble or error
            raise

    def _answer(self, call: Any) -> Any:
        try:
            return ray.get(call, timeout=self._answer_s)
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(self._actor)  # it holds the ledger, which the next one has to write
            raise ClusterError(
                f"the process that keeps the ledger did not answer for {self._answer_s:g} s and was killed"
            ) from error
        except ray.exceptions.RayTaskError as error:
            raise error.cause if getattr(error, "cause", None) is not None else error from error
        except ray.exceptions.RayActorError as error:
            raise ClusterError("the process that keeps the ledger was lost") from error

    suggest = _passed_on(ControllerActor.suggest)
    withdrawn = _passed_on(ControllerActor.withdrawn)
    begin = _passed_on(ControllerActor.begin)
    row = _passed_on(ControllerActor.row)
    verdict = _passed_on(ControllerActor.verdict)
    ended = _passed_on(ControllerActor.ended)
    rank_failed = _passed_on(ControllerActor.rank_failed)
    preempt = _passed_on(ControllerActor.preempt)
    heartbeat = _passed_on(ControllerActor.heartbeat)
    look = _passed_on(ControllerActor.look)
    leaving = _passed_on(ControllerActor.leaving)
    lost = _passed_on(ControllerActor.lost)
    cordoned = _passed_on(ControllerActor.cordoned)
    over = _passed_on(ControllerActor.over)
    close = _passed_on(ControllerActor.close)
    preparation = _passed_on(ControllerActor.preparation)
    example = _passed_on(ControllerActor.example)
    may_train = _passed_on(ControllerActor.may_train)
    node_checked = _passed_on(ControllerActor.node_checked)
    time = _passed_on(ControllerActor.time)

    def cancel(self, reason: str) -> None:
        """See ``SweepController.cancel``; does not wait, so a signal handler may call it."""
        self._actor.cancel.remote(reason)
