"""The trial actor: trains what Ray Tune places on it, and reports to the controller."""

from __future__ import annotations

from typing import Any, NoReturn

import ray
from ray import tune

from yolosweep.backends import trainer_for
from yolosweep.cluster import import_credentials, prepare_node, training_lock, with_local_paths
from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, Ending, EpochResult, TrialRecord, TrialRequest, Verdict
from yolosweep.records.worker_activity import Activity, Stage
from yolosweep.runtime.control_channel import Heartbeat, StopPoller, may_train, must_leave
from yolosweep.runtime.controller_client import ControllerClient
from yolosweep.runtime.rank_group import Preparation, RankGroup, bundles, granted_gpus
from yolosweep.runtime.watchdog import Watchdog, prepare_trainings
from yolosweep.search.checkpoint_retention import forget
from yolosweep.storage import outages

__all__ = ["PLACED", "TrialActor"]

PLACED = "yolosweep"
"""The key of a Tune trial's configuration beside its parameters: trial, controller, and excluded nodes."""


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """A worker process that runs one training after the other; each is one step of a Tune trial of its own.

    Epoch results do not pass through Tune: the controller writes them to disk before the next epoch begins. Tune keeps
    the process for its next trial, so torch and ultralytics are imported once.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Import the driver's credentials and take the first trial."""
        import_credentials()
        self._trained, self._is_ready, self._is_used_up = 0, False, False
        self._group: RankGroup | None = None
        self._preparation: Preparation | None = None
        self._heartbeat: Heartbeat | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._trial: str = new_config[PLACED]["trial"]
        self._controller = ControllerClient.named(new_config[PLACED]["controller"])
        return True

    def step(self) -> dict[str, Any]:
        """Run all of the training."""
        self._heartbeat = self._heartbeat or Heartbeat(self._controller)
        if self._is_used_up:
            self._controller.leaving(self._trial)
            self._exit()
        if not self._is_ready and not self._may_train():
            self._controller.cordoned(self._trial)
            self._exit()
        node = ray.get_runtime_context().get_node_id()
        with training_lock():  # before the check, so that draining waits for a training that missed the notice
            if not must_leave():
                return self._run(node)
        self._controller.cordoned(self._trial, node)
        return self._exit()

    def _may_train(self) -> bool:
        """Return whether the nodes of all ranks may train; starts the processes of the other ranks."""
        if self._group is None and len(bundles()) > 1:
            self._group = RankGroup(self._controller.name, self._controller.rank_failed)
        return may_train(self._controller) and (self._group is None or self._group.may_train())

    def _exit(self) -> NoReturn:
        """End this process; Tune places the trial again, in another one.

        Not when a trial has ended, but before the next one begins: Tune would count it as a failure.
        """
        self.cleanup()
        ray.actor.exit_actor()
        raise AssertionError  # exit_actor() has raised

    def _run(self, node: str) -> dict[str, Any]:
        if not self._is_ready:
            self._prepare()
        if (request := self._controller.begin(self._trial, node)) is None:
            return {"done": True}
        self._watch(Activity(stage=Stage.SET_UP, trial=request.trial))
        request = self._here(request)
        gpus = granted_gpus() if self._group is None else self._group.gpus
        record = self._train(request)
        if record.ending not in (Ending.CANCELLED, Ending.FAILED):  # these may resume from their checkpoints
            forget(RunFolder(request.folder), request.trial)
        self._watch(None)
        self._trained += 1
        # A fresh process comes next, so that no state of an error reaches the next training.
        broken = record.cause is not None or record.recoveries > 0 or (self._group and not self._group.whole)
        self._is_used_up = bool(broken) or self._trained >= request.policy.recycle_after
        if not self._controller.ended(record.model_copy(update={"gpus": tuple(gpus)}), request.attempt):
            self._exit()
        return {"done": True, request.metric: record.score, "epochs": record.epochs, "ending": record.ending.value}

    def _train(self, request: TrialRequest) -> TrialRecord:
        folder = RunFolder(request.folder)
        stacks = folder.stacks(request.trial, request.attempt)
        publish = None if folder.objects is None else lambda file: folder.publish(file.read_bytes(), file)
        with StopPoller(self._controller, request) as poller, Watchdog(stacks, request.policy, publish) as watchdog:

            def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
                verdict = self._controller.row(request.trial, row, checkpoint, request.attempt)
                watchdog.epoch(row.seconds)
                return verdict

            def cancelled() -> bool:
                watchdog.progress()
                return poller.stopped.is_set()

            trainer = self._group or trainer_for(request.model)
            record = trainer.train(request, report, cancelled, self._watch)
        return record.model_copy(update={"notes": (*record.notes, *outages())})

    def _watch(self, activity: Activity | None) -> None:
        if self._heartbeat is not None:
            self._heartbeat.activity = activity

    def cleanup(self) -> None:
        """End the thread of the heartbeats; Tune calls it, too."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _prepare(self) -> None:
        """Prepare what all trainings on this node share, before the first one: its time belongs to no trial."""
        self._watch(Activity(stage=Stage.PREPARE))
        if (preparation := self._controller.preparation()) is not None:
            self._preparation = preparation
            self._train_on = prepare_node(*preparation)
        example = self._here(self._controller.example())
        if self._group is None:
            prepare_trainings(example)
        else:
            self._group.enter(example, self._preparation)
        self._watch(None)
        self._is_ready = True

    def _here(self, request: TrialRequest) -> TrialRequest:
        return request if self._preparation is None else with_local_paths(request, self._train_on)
