"""The trial actor: asks the controller for a trial, trains it, and reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray import tune

from yolosweep.backends import trainer_for
from yolosweep.backends.activity_meter import Watch
from yolosweep.cluster import import_credentials, prepare_node, training_lock, with_local_paths
from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, Ending, EpochResult, TrialRecord, TrialRequest, Verdict
from yolosweep.records.activity import Activity, Stage
from yolosweep.runtime.control_channel import POLL_S, Heartbeat, StopPoller, may_train, must_leave
from yolosweep.runtime.controller_client import ControllerClient
from yolosweep.runtime.rank_group import Preparation, RankGroup, bundles, granted_gpus
from yolosweep.runtime.watchdog import Watchdog, prepare_trainings
from yolosweep.search.checkpoint_retention import forget
from yolosweep.storage import outages

__all__ = ["TrialActor"]


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """A worker process that runs one training after the other; for Tune, each is one step of one Tune trial.

    Tune places workers and restarts dead ones; the controller decides what they train. Epoch results do not pass
    through Tune: the controller writes them to disk before the next epoch begins. The process is reused, so torch and
    ultralytics are imported once.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Keep the controller's name and import the driver's credentials."""
        import_credentials()
        self._slot: int = config["slot"]
        self._controller_name: str = config["controller"]
        self._trained = 0
        self._group: RankGroup | None = None
        self._preparation: Preparation | None = None
        self._heartbeat: Heartbeat | None = None

    def step(self) -> dict[str, Any]:
        """Ask for a trial and run all of it; done when there are no more."""
        controller = ControllerClient.named(self._controller_name)
        self._heartbeat = self._heartbeat or Heartbeat(controller, self._slot)
        if self._trained == 0 and not self._may_train(controller):
            controller.cordoned(self._slot)
            self._cordon(controller, lambda: True)
            return {"done": True}
        with training_lock():  # before the check, so that draining waits for a training that missed the notice
            if not must_leave():
                return self._train_one(controller)
        self._cordon(controller, must_leave)
        return {"done": False}

    def _may_train(self, controller: ControllerClient) -> bool:
        """Return whether the nodes of all ranks may train; starts the processes of the other ranks."""
        if self._group is None and len(bundles()) > 1:
            self._group = RankGroup(self._controller_name, self._give_up)
        return may_train(controller) and (self._group is None or self._group.may_train())

    def _cordon(self, controller: ControllerClient, cordoned: Callable[[], bool]) -> None:
        """Hold this worker's resources so that Ray schedules nothing here, until uncordoned or the sweep is over."""
        controller.replacing(self._slot)  # if this node dies now, no trial is lost with it
        while cordoned() and not controller.over():
            time.sleep(POLL_S)

    def _train_one(self, controller: ControllerClient) -> dict[str, Any]:
        if self._trained == 0:
            self._prepare(controller)
        answer = controller.begin(self._slot)
        while isinstance(answer, str):  # others hold the rest of the budget, or may leave a trial to resume
            if must_leave():
                return {"done": False}
            time.sleep(POLL_S)
            answer = controller.begin(self._slot)
        if answer is None:
            return {"done": True}
        answer = self._here(answer)
        gpus = granted_gpus() if self._group is None else self._group.gpus
        record = _train(controller, answer, self._group, self._watch).model_copy(update={"gpus": tuple(gpus)})
        if record.ending not in (Ending.CANCELLED, Ending.FAILED):  # these may resume from their checkpoints
            forget(RunFolder(answer.folder), answer.trial)
        self._watch(None)
        self._trained += 1
        broken = (
            record.cause is not None or record.recoveries > 0 or (self._group is not None and not self._group.whole)
        )
        used_up = broken or self._trained >= answer.policy.recycle_after
        if used_up:  # reported first, because the last trial to end may end the sweep
            controller.replacing(self._slot)
        controller.ended(record, answer.attempt)
        if used_up:  # Tune starts a fresh process, so that no state of an error reaches the next training
            self.cleanup()
            ray.actor.exit_actor()
        return {"done": False}

    def _watch(self, activity: Activity | None) -> None:
        if self._heartbeat is not None:
            self._heartbeat.activity = activity

    def cleanup(self) -> None:
        """End the thread of the heartbeats; Tune calls it, too."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _prepare(self, controller: ControllerClient) -> None:
        """Prepare what all trainings on this node share, before the first one: its time belongs to no trial."""
        self._watch(Activity(stage=Stage.PREPARE))
        if (preparation := controller.preparation()) is not None:
            self._preparation = preparation
            self._train_on = prepare_node(*preparation)
        example = self._here(controller.example())
        if self._group is None:
            prepare_trainings(example)
        else:
            self._group.enter(example, self._preparation)
        self._watch(None)

    def _here(self, request: TrialRequest) -> TrialRequest:
        return request if self._preparation is None else with_local_paths(request, self._train_on)

    def _give_up(self, request: TrialRequest, rank: int, record: TrialRecord) -> None:
        """Report a training that failed on one of the other ranks alone."""
        controller = ControllerClient.named(self._controller_name)
        controller.replacing(self._slot)
        controller.rank_failed(rank, record, request.attempt)


def _train(controller: ControllerClient, request: TrialRequest, group: RankGroup | None, watch: Watch) -> TrialRecord:
    folder = RunFolder(request.folder)
    stacks = folder.stacks(request.trial, request.attempt)
    publish = None if folder.objects is None else lambda file: folder.publish(file.read_bytes(), file)
    with StopPoller(controller, request) as poller, Watchdog(stacks, request.policy, publish) as watchdog:

        def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
            verdict = controller.row(request.trial, row, checkpoint, request.attempt)
            watchdog.epoch(row.seconds)
            return verdict

        def cancelled() -> bool:
            watchdog.progress()
            return poller.stopped.is_set()

        trainer = trainer_for(request.model) if group is None else group
        record = trainer.train(request, report, cancelled, watch)
    return record.model_copy(update={"notes": (*record.notes, *outages())})
