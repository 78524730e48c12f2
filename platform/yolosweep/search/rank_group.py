"""The ranks of a trial: processes in the trial's own placement group, beside the slot that is rank 0.

Tune reserves all bundles of a slot at once, so trials cannot hold each other's halves. The group stays from one
training to the next. Where any rank goes wrong it is given up as a whole: a broken process group cannot be mended.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from yolosweep.records import Ending, TrialRecord, TrialRequest
from yolosweep.training import trainer_for
from yolosweep.training.ranks import enter_group, follow
from yolosweep.training.seam import Cancelled, Report

__all__ = ["RankGroup", "granted_gpus"]

_POLL_S = 0.5
_GRACE_S = 20.0
"""From the first rank that ended in an error to the end of all: rank 0 may have the same error to tell."""

_WHOLE = (Ending.FINISHED, Ending.PATIENCE, Ending.PRUNED)
"""Endings that all ranks reach together: the group can train again."""


def granted_gpus() -> list[str]:
    """Return the GPUs that Ray granted to this process."""
    return [str(gpu) for gpu in ray.get_runtime_context().get_accelerator_ids()["GPU"]]


class _Rank:
    """A rank above 0, in a process of its own."""

    def enter(self, rank: int, world_size: int, address: str, on_gpu: bool) -> list[str]:
        """Join the group; return the GPUs this process was granted."""
        enter_group(rank, world_size, address, on_gpu=on_gpu)
        return granted_gpus()

    def train(self, request: TrialRequest) -> str:
        """Train along; return how it ended."""
        return follow(request).reason


class RankGroup:
    """All ranks of one slot; made inside of the slot, whose process becomes rank 0."""

    def __init__(self, request: TrialRequest) -> None:
        size, on_gpu = request.world_size, request.gpus > 0
        group = ray.util.get_current_placement_group()
        self._others = [
            ray.remote(_Rank)
            .options(
                num_cpus=request.cpus / size,
                num_gpus=request.gpus / size,
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
            )
            .remote()
            for rank in range(1, size)
        ]
        address = f"tcp://{ray.util.get_node_ip_address()}:{_free_port()}"
        entering = [other.enter.remote(rank, size, address, on_gpu) for rank, other in enumerate(self._others, start=1)]
        enter_group(0, size, address, on_gpu=on_gpu)
        self.gpus: list[str] = granted_gpus() + [gpu for gpus in ray.get(entering) for gpu in gpus]
        """The GPUs of all ranks."""
        self.whole = True
        """Whether another training can run in it."""

    def train(self, request: TrialRequest, report: Report, cancelled: Cancelled) -> TrialRecord:
        """Train on all ranks and return rank 0's record.

        Where another rank dies, this process ends at once: the loss of a process is what the desk then sees.
        """
        running = [other.train.remote(request) for other in self._others]
        over = threading.Event()
        guard = threading.Thread(target=_guard, args=(running, over), name="rank-guard", daemon=True)
        guard.start()
        try:
            record = trainer_for(request.model).train(request, report, cancelled)
        finally:
            over.set()
            guard.join()
        if record.ending is Ending.FAILED and _died(running, timeout_s=5.0):
            os._exit(1)  # what rank 0 failed from is the end of the other: that is no fault of the trial
        self.whole = record.ending in _WHOLE and record.cause is None and not _died(running, timeout_s=60.0)
        if not self.whole:
            for other in self._others:
                ray.kill(other)
        return record


def _guard(running: list[Any], over: threading.Event) -> None:
    """End this process when another rank died, or raised and left rank 0 waiting for it."""
    left = list(running)
    while left and not over.wait(_POLL_S):
        done, left = ray.wait(left, num_returns=len(left), timeout=0)
        for one in done:
            try:
                ray.get(one)
            except ray.exceptions.RayActorError:
                os._exit(1)
            except ray.exceptions.RayError:
                if not over.wait(_GRACE_S):
                    os._exit(1)


def _died(running: list[Any], timeout_s: float) -> bool:
    """Tell whether any other rank has not ended properly in time."""
    try:
        ray.get(running, timeout=timeout_s)
    except ray.exceptions.GetTimeoutError:
        return False
    except ray.exceptions.RayError:
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port
