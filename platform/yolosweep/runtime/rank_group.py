"""The ranks of a trial: processes in the trial's placement group, beside the trial actor, which is rank 0.

Tune reserves all bundles of a worker at once, so trials cannot hold each other's halves. The group is reused from one
training to the next. If any rank fails, the whole group is discarded: a broken process group cannot be repaired.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from yolosweep.backends import trainer_for
from yolosweep.backends.activity_meter import Watch, unwatched
from yolosweep.backends.trainer import Cancelled, Report
from yolosweep.backends.ultralytics.ddp import enter_group, preload
from yolosweep.backends.ultralytics.rendezvous import Rendezvous, bind_transport
from yolosweep.cluster import import_credentials, prepare_node, training_lock, with_local_paths
from yolosweep.records import Ending, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.runtime.control_channel import StopPoller, may_train
from yolosweep.runtime.controller_client import ControllerClient
from yolosweep.runtime.watchdog import prepare_trainings

__all__ = ["Preparation", "RankGroup", "bundles", "granted_gpus"]

Preparation = tuple[str, PreparedDataset]
"""The run's address and its data: the arguments of ``prepare_node``."""

_POLL_S = 0.5
_GRACE_S = 10.0
"""From the first failed rank to the end of all: rank 0 may be about to report the same error."""

_DEATH_S = 5.0
"""The longest time until Ray reports the death of a process."""

_JOIN_S = 60.0
"""How long the other ranks may take to end after rank 0."""

_COMPLETE = (Ending.FINISHED, Ending.PATIENCE, Ending.PRUNED)
"""Endings that all ranks reach together, so the group can train again."""


def granted_gpus() -> list[str]:
    """Return the GPUs that Ray granted to this process."""
    return [str(gpu) for gpu in ray.get_runtime_context().get_accelerator_ids()["GPU"]]


def bundles() -> list[dict[str, float]]:
    """Return the resources of this process's placement group, rank by rank."""
    return list(ray.util.get_current_placement_group().bundle_specs)


class _Rank:
    """A rank above 0, in its own process."""

    def __init__(self, controller: str) -> None:
        import_credentials()
        self._controller = ControllerClient.named(controller)

    def may_train(self) -> bool:
        """Return whether trials may run on this rank's node."""
        if not may_train(self._controller):
            return False
        preload()
        return True

    def enter(self, rank: int, address: str, example: TrialRequest, preparation: Preparation | None) -> list[str]:
        """Join the group and prepare this node for trainings like the example; return the GPUs granted here."""
        self._train_on = None if preparation is None else prepare_node(*preparation)
        bind_transport(ray.util.get_node_ip_address())
        enter_group(rank, example.world_size, address, on_gpu=example.gpus > 0)
        prepare_trainings(self._here(example))
        return granted_gpus()

    def train(self, request: TrialRequest) -> TrialRecord:
        """Train as one of the ranks; return how the training ended on this one."""
        with training_lock(), StopPoller(self._controller, request):
            # A rank above 0 only computes: it reports and stores nothing.
            return trainer_for(request.model).train(
                self._here(request), lambda row, checkpoint: Verdict.CONTINUE, lambda: False
            )

    def _here(self, request: TrialRequest) -> TrialRequest:
        return request if self._train_on is None else with_local_paths(request, self._train_on)


class RankGroup:
    """All ranks of one worker; created inside the trial actor, whose process becomes rank 0.

    Args:
        controller: name of the controller.
        rank_failed: takes a rank above 0, the record of an error on that rank alone, and the attempt. After it returns,
            this process ends, because rank 0 is blocked in a library call that waits for that rank.
    """

    def __init__(self, controller: str, rank_failed: Callable[[int, TrialRecord, int], None]) -> None:
        self._rank_failed = rank_failed
        group = ray.util.get_current_placement_group()
        self._others = [
            ray.remote(_Rank)
            .options(
                num_cpus=bundle.get("CPU", 0),
                num_gpus=bundle.get("GPU", 0),
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
            )
            .remote(controller)
            for rank, bundle in enumerate(bundles())
            if rank
        ]
        self.gpus = list[str]()
        """The GPUs of all ranks, once they have entered."""
        self.whole = True
        """Whether the group can run another training."""

    def may_train(self) -> bool:
        """Return whether trials may run on the nodes of all other ranks."""
        answers = [other.may_train.remote() for other in self._others]
        preload()  # while their processes start
        return all(ray.get(answers))

    def enter(self, example: TrialRequest, preparation: Preparation | None = None) -> None:
        """Join all ranks into one process group and prepare their nodes; once, before the first training.

        A process must know its rank before it imports Ultralytics, so nothing is prepared earlier.

        Args:
            example: a request like those to come.
            preparation: arguments of ``prepare_node`` for the nodes of the other ranks.
        """
        node_ip = ray.util.get_node_ip_address()
        bind_transport(node_ip)
        self._rendezvous = Rendezvous(node_ip)
        address = self._rendezvous.url
        entering = [
            other.enter.remote(rank, address, example, preparation) for rank, other in enumerate(self._others, start=1)
        ]
        with self._guarded(entering, example):
            enter_group(0, example.world_size, address, on_gpu=example.gpus > 0)
            prepare_trainings(example)
            self.gpus = granted_gpus() + [gpu for gpus in ray.get(entering) for gpu in gpus]

    def train(
        self, request: TrialRequest, report: Report, cancelled: Cancelled, watch: Watch = unwatched
    ) -> TrialRecord:
        """Train on all ranks and return rank 0's record.

        If another rank dies, this process ends at once, so the controller sees a lost worker.
        """
        running = [other.train.remote(request) for other in self._others]
        with self._guarded(running, request):
            record = trainer_for(request.model).train(request, report, cancelled, watch)
        if record.ending is Ending.FAILED and _lost_one(running):
            os._exit(1)  # rank 0 failed because the other rank died, which is no fault of the trial
        self.whole = record.ending in _COMPLETE and record.cause is None and _all_ended_well(running)
        if not self.whole:
            for other in self._others:
                ray.kill(other)
        return record

    @contextlib.contextmanager
    def _guarded(self, running: list[Any], request: TrialRequest) -> Iterator[None]:
        """Watch the other ranks during the ``with`` block, in which this one may wait for them forever."""
        over = threading.Event()
        guard = threading.Thread(target=self._guard, args=(running, request, over), name="rank-guard", daemon=True)
        guard.start()
        try:
            yield
        finally:
            over.set()
            guard.join()

    def _guard(self, running: list[Any], request: TrialRequest, over: threading.Event) -> None:
        """End this process when another rank died, or failed and left rank 0 waiting for it."""
        left = list(running)
        while left and not over.wait(_POLL_S):
            done, left = ray.wait(left, num_returns=len(left), timeout=0)
            for one in done:
                answer = _answer(one)
                if isinstance(answer, ray.exceptions.RayActorError):
                    os._exit(1)
                if _is_well(answer) or over.wait(_GRACE_S):
                    continue
                try:
                    if isinstance(answer, TrialRecord):
                        self._rank_failed(running.index(one) + 1, answer, request.attempt)
                finally:
                    os._exit(1)


def _answer(one: Any) -> Any:
    """Return the result of a call to a rank, or the error it raised."""
    try:
        return ray.get(one)
    except ray.exceptions.RayError as error:
        return error


def _is_well(answer: Any) -> bool:
    """Return whether a call to a rank succeeded."""
    return answer.ending in _COMPLETE if isinstance(answer, TrialRecord) else not isinstance(answer, Exception)


def _lost_one(running: list[Any]) -> bool:
    """Return whether the process of another rank died."""
    done, _ = ray.wait(running, num_returns=len(running), timeout=_DEATH_S)
    return any(isinstance(_answer(one), ray.exceptions.RayActorError) for one in done)


def _all_ended_well(running: list[Any]) -> bool:
    """Return whether all other ranks ended well, too."""
    done, left = ray.wait(running, num_returns=len(running), timeout=_JOIN_S)
    return not left and all(_is_well(_answer(one)) for one in done)
