"""Requests from processes on the nodes to the controller: may they train on this node, must they stop."""

from __future__ import annotations

import contextlib
import socket
import threading

import ray

from yolosweep.cluster import check_joining_node, is_draining
from yolosweep.errors import ClusterError
from yolosweep.records import TrialRequest, Verdict
from yolosweep.records.worker_activity import Activity
from yolosweep.runtime.controller_client import ControllerClient

__all__ = ["POLL_S", "Heartbeat", "StopPoller", "may_train", "must_leave"]

POLL_S = 1.0
"""How often a training asks whether to stop in the middle of an epoch."""

_HEARTBEAT_S = 2.0


def may_train(controller: ControllerClient) -> bool:
    """Return whether trials may run on this node; a node that joined after the start is checked first."""
    node = ray.get_runtime_context().get_node_id()
    answer = controller.may_train(node)
    if not isinstance(answer, str):
        resources: dict[str, float] = next((one["Resources"] for one in ray.nodes() if one["NodeID"] == node), {})
        fault, reply = check_joining_node(answer, resources, controller.time)
        controller.node_checked(node, socket.gethostname(), fault, reply)
        answer = controller.may_train(node)
    return answer == "good"


def must_leave() -> bool:
    """Return whether this node is about to shut down: its own notice says so, or Ray drains it.

    Ray drains a node on SIGTERM to ``ray start --block``, for ``ray drain-node``, and for autoscalers.
    """
    draining: dict[str, int] = ray._private.state.state.get_draining_nodes()
    return is_draining() or ray.get_runtime_context().get_node_id() in draining


class Heartbeat:
    """Tells the controller from a thread that this worker's process is alive and what it does, until it is stopped."""

    def __init__(self, controller: ControllerClient) -> None:
        self._controller, self._over = controller, threading.Event()
        self._worker: str = ray.get_runtime_context().get_actor_id()
        self.activity: Activity | None = None
        """What the worker does; None while it waits for a trial."""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join(_HEARTBEAT_S)  # the controller may be waiting out an outage of the storage

    def _beat(self) -> None:
        with contextlib.suppress(ray.exceptions.RayError, ClusterError):  # the sweep is gone
            self._controller.heartbeat(self._worker, self.activity)
            while not self._over.wait(_HEARTBEAT_S):
                self._controller.heartbeat(self._worker, self.activity)


class StopPoller:
    """Polls the controller in a thread and sets a flag when the training must stop.

    It also reports that this node is draining: the trial then stops, and resumes on another node.
    """

    def __init__(self, controller: ControllerClient, request: TrialRequest) -> None:
        self._controller, self._request = controller, request
        self.stopped = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="stop-poller", daemon=True)

    def __enter__(self) -> StopPoller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _poll(self) -> None:
        trial, attempt = self._request.trial, self._request.attempt
        while not self._over.wait(POLL_S):
            try:
                if must_leave():
                    self._controller.preempt(trial, attempt, ray.get_runtime_context().get_node_id())
                if self._controller.verdict(trial, attempt) is Verdict.CANCEL:
                    self.stopped.set()
                    return
            except (ray.exceptions.RayError, ClusterError):  # the sweep is gone, so nobody would record the result
                self.stopped.set()
                return
