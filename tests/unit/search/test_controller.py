"""The controller, called directly: budgets, pruning, retention, endings. No Ray."""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tools.placing import take

from yolosweep.errors import ClusterError, RunFolderError
from yolosweep.experiment import Experiment
from yolosweep.experiment.trial_settings import resolved
from yolosweep.ledger import RunFolder, read_events
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import (
    Cause,
    Checkpoint,
    Ending,
    EpochResult,
    FileRef,
    PreparedDataset,
    TrialRecord,
    TrialRequest,
    Verdict,
)
from yolosweep.search.controller import SweepController
from yolosweep.search.final_record import record_from_rows
from yolosweep.search.trial_generator import Offer
from yolosweep.storage import objects, outage_retry

DATASET = PreparedDataset(
    task="detect", source="/d/data.yaml", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9, "val": 9},
    fingerprint="f" * 64,
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


OPEN: list[SweepController] = []


@pytest.fixture(autouse=True)
def _close_controllers(tmp_path: Path) -> Iterator[None]:  # before its folder is deleted
    yield
    while OPEN:
        OPEN.pop().close()


def make_controller(
    storage: Path | str,
    clock: Clock | None = None,
    *,
    epochs: int = 4,
    keep_top: int = 3,
    batch: int = 16,
    ranks: int = 1,
    on_oom: str = "lower_batch",
    **search: Any,
) -> SweepController:
    exp = resolved(
        Experiment.model_validate(
            {
                "name": "d",
                "model": "yolo11n.yaml",
                "data": "/d/data.yaml",
                "keep_top": keep_top,
                "trial": {"on_oom": on_oom},
                "train": {"epochs": epochs, "batch": batch, "optimizer": "AdamW"},
                "search": {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}, "trials": 5, "pruner": "asha", **search},
            }
        )
    )
    folder = RunFolder.create(storage, "d")
    controller = SweepController(
        folder.address,
        experiment=exp.model_dump(mode="json"),
        model="yolo11n.yaml",
        model_fingerprint="yolo11n.yaml",
        dataset=DATASET.model_dump(mode="json"),
        cpus=1,
        gpus=0,
        header={},
        world_size=ranks,
        clock=clock or Clock(),
    )
    OPEN.append(controller)
    return controller


def start(controller: SweepController, node: str = "") -> TrialRequest:
    """Begin the trial that has lost its process, else the next one."""
    request = take(controller, node)
    assert isinstance(request, TrialRequest)
    return request


def row(epoch: int, score: float | None, best: float | None = None) -> EpochResult:
    return EpochResult(
        epoch=epoch, metrics={}, score=score, best_score=score if best is None else best, best_epoch=epoch,
        epochs_without_gain=0, seconds=1.0, images_per_s=9.0,
    )  # fmt: skip


def end(
    controller: SweepController,
    request: TrialRequest,
    score: float | None,
    ending: Ending = Ending.FINISHED,
    **more: Any,
) -> None:
    files = {}
    if score is not None:
        folder = RunFolder(request.folder)
        local = folder.root / "weights.tmp"
        local.write_bytes(request.trial.encode())
        files = {name: folder.publish(local, folder.trial(request.trial) / name) for name in ("best.pt", "last.pt")}
    record = TrialRecord(
        trial=request.trial, number=request.number, ending=ending, reason="r", asked=request.asked,
        used={**request.asked, "batch": 16}, score=score, files=files, **more,
    )  # fmt: skip
    controller.ended(record, request.attempt)


def history(request: TrialRequest) -> History:
    return History.of(RunFolder(request.folder))


def test_trial_0_is_the_defaults(tmp_path: Path) -> None:
    request = start(make_controller(tmp_path))
    assert request.trial == "t0000"
    assert request.asked == {"lr0": 0.01}


def test_a_default_outside_of_the_space_is_replaced_by_the_nearest_point(tmp_path: Path) -> None:
    request = start(
        make_controller(tmp_path, parameters={"imgsz": {"values": [64, 96]}, "lr0": {"min": 0.02, "max": 0.1}})
    )
    assert request.asked == {"imgsz": 96, "lr0": 0.02}


def test_no_more_trials_than_asked_for(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=3)
    requests = [start(controller) for _ in range(3)]
    assert [request.number for request in requests] == [0, 1, 2]
    assert take(controller) == "wait"  # a trial may lose its machine
    for request in requests:
        end(controller, request, 0.1)
    assert take(controller) is None
    assert controller.over()


def test_an_epoch_budget_is_never_exceeded(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=None, epoch_budget=10)
    first, second = start(controller), start(controller)
    assert take(controller) == "wait"  # 8 of 10 promised, 4 more do not fit, but a running trial may end early
    controller.row(first.trial, row(1, 0.1))
    end(controller, first, 0.1, Ending.PATIENCE)
    start(controller)  # 1 trained + 4 + 4 = 9
    assert take(controller) == "wait"
    for epoch in range(1, 5):
        controller.row(second.trial, row(epoch, 0.2))
    end(controller, second, 0.2)
    assert take(controller) == "wait"


def test_a_time_budget_cancels_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    clock = Clock()
    controller = make_controller(tmp_path, clock, time_budget="1h")
    request = start(controller)
    assert controller.verdict(request.trial) is Verdict.CONTINUE
    clock.now = 3601
    assert controller.verdict(request.trial) is Verdict.CANCEL
    assert controller.row(request.trial, row(1, 0.5)) is Verdict.CANCEL
    assert take(controller) == "wait"
    OPEN.clear()
    assert "time budget" in controller.close()


def test_a_time_budget_ends_a_sweep_that_waits_for_machines(tmp_path: Path) -> None:
    clock = Clock()
    controller = make_controller(tmp_path, clock, time_budget="1h")
    request = start(controller)
    controller.row(request.trial, row(1, 0.5))
    controller.lost(request.trial, "node lost")
    clock.now = 3599
    assert not controller.over()  # its trial waits for a place
    clock.now = 3601
    assert controller.over()


def test_the_pruner_stops_the_worst_but_never_the_defaults_nor_the_last_epoch(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=6, grace_epochs=2, reduction_factor=2)
    trials = [start(controller) for _ in range(6)]
    for number in (5, 4, 3, 2, 1):
        assert controller.row(trials[number].trial, row(1, 0.0)) is Verdict.CONTINUE  # no rung
        assert controller.row(trials[number].trial, row(2, 0.5 + number / 10)) in Verdict
    assert controller.row(trials[0].trial, row(2, 0.0)) is Verdict.CONTINUE
    for trial in trials:
        assert controller.row(trial.trial, row(4, 0.0, 0.0)) is Verdict.CONTINUE


def test_a_trial_behind_at_a_rung_is_pruned(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=4, grace_epochs=2, reduction_factor=2)
    trials = [start(controller) for _ in range(3)]
    assert controller.row(trials[1].trial, row(2, 0.9)) is Verdict.CONTINUE
    assert controller.row(trials[2].trial, row(2, 0.1)) is Verdict.PRUNE


def test_only_the_best_checkpoints_stay_and_the_ledger_says_which_went(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, keep_top=2)
    kept = ["t0000", "t0001", "t0002"]  # the two best, and what the winner is compared with
    scores = [0.1, 0.4, 0.3, 0.2]
    for score in scores:
        request = start(controller)
        controller.row(request.trial, row(1, score))
        end(controller, request, score)
    known = history(request)
    assert [t for t, trial in known.trials.items() if not trial.dropped] == kept
    folder = RunFolder(request.folder)
    assert sorted(p.parent.name for p in folder.root.glob("trials/*/best.pt")) == kept
    assert sorted(p.parent.name for p in folder.root.glob("trials/*/last.pt")) == kept


def checkpoint(request: TrialRequest, epoch: int, content: bytes = b"best") -> Checkpoint:
    """Store a checkpoint the way a trainer does."""
    folder = RunFolder(request.folder)
    local = folder.root / "state.tmp"
    local.write_bytes(content)
    stem = f"a{request.attempt:02d}-e{epoch:04d}"
    state, best = (
        folder.publish(local, folder.checkpoint(request.trial, f"{stem}{end}")) for end in (".state", "-best.pt")
    )
    return Checkpoint(epoch=epoch, state=state, best=best)


def train(controller: SweepController, request: TrialRequest, epochs: Iterable[int], score: float = 0.3) -> None:
    for epoch in epochs:
        controller.row(request.trial, row(epoch, score), checkpoint(request, epoch), request.attempt)


def test_a_trial_that_loses_its_worker_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    train(controller, request, (1, 2))
    controller.lost(request.trial, "killed")
    again = start(controller)
    assert (again.trial, again.attempt) == (request.trial, 1)
    assert [stored.epoch for stored in again.resume] == [2, 1]
    train(controller, again, (3, 4))
    end(controller, again, 0.3)
    trial = history(request).trials[request.trial]
    assert [r.epoch for r in trial.rows] == [1, 2, 3, 4]
    assert (trial.record.ending, trial.record.retries) == (Ending.FINISHED, 1)
    assert trial.resumes[0].from_epoch == 2
    assert "killed" in trial.resumes[0].reason


def test_rows_after_the_checkpoint_are_trained_again_and_not_counted_twice(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    train(controller, request, (1,))
    controller.row(request.trial, row(2, 0.4), None)
    controller.lost(request.trial, "killed")
    again = start(controller)
    assert [r.epoch for r in history(request).trials[request.trial].rows] == [1]
    train(controller, again, (2,), 0.5)
    assert [r.score for r in history(request).trials[request.trial].rows] == [0.3, 0.5]


def test_a_trial_that_went_on_from_an_older_checkpoint_says_so(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    train(controller, request, (1, 2, 3))
    controller.lost(request.trial, "killed")
    train(controller, start(controller), (3,), 0.7)  # the third was damaged
    trial = history(request).trials[request.trial]
    assert [r.score for r in trial.rows] == [0.3, 0.3, 0.7]
    assert trial.resumes[-1].cause == "damaged"
    assert trial.retries == 1


def test_a_process_taken_for_dead_is_not_heard(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    zombie = start(controller)
    controller.lost(zombie.trial, "node unreachable")
    again = start(controller)
    assert controller.row(zombie.trial, row(1, 0.9), None, zombie.attempt) is Verdict.CANCEL
    assert controller.verdict(zombie.trial, zombie.attempt) is Verdict.CANCEL
    end(controller, zombie, 0.9)
    trial = history(zombie).trials[zombie.trial]
    assert (trial.rows, trial.record) == ([], None)
    assert controller.verdict(again.trial, again.attempt) is Verdict.CONTINUE


def test_a_trial_that_begins_again_lost_its_process(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    first = start(controller)
    second = controller.begin(first.trial)
    assert second is not None
    assert (second.trial, second.attempt) == (first.trial, 1)


def test_a_trial_that_kills_every_process_ends(tmp_path: Path) -> None:
    """The machine is not to blame where the same epoch ends three processes (the kernel's out-of-memory killer)."""
    controller = make_controller(tmp_path)
    request = start(controller)
    train(controller, request, (1,))
    for _ in range(3):
        controller.lost(request.trial, "killed by signal 9")
        request = start(controller)
    assert request.number == 1
    record = history(request).trials["t0000"].record
    assert (record.ending, record.cause, record.epochs) == (Ending.FAILED, Cause.INFRA, 1)
    assert "3 processes in a row ended in epoch 2" in record.reason
    assert RunFolder(request.folder).resolve(record.files["best.pt"]).read_bytes() == b"best"


def test_lost_machines_are_not_counted(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, epochs=9)
    request = start(controller)
    for epoch in range(1, 9):
        train(controller, request, (epoch,))
        controller.lost(request.trial, "node lost")
        request = start(controller)
    assert (request.number, request.attempt) == (0, 8)


def test_a_worker_that_died_after_the_last_epoch_lost_nothing(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    train(controller, request, (1, 2, 3, 4))
    controller.lost(request.trial, "killed")
    record = history(request).trials["t0000"].record
    assert (record.ending, record.epochs, record.score) == (Ending.FINISHED, 4, 0.3)
    assert "best.pt" in record.files


def test_what_a_trial_ran_on_is_known_though_its_process_could_not_tell(tmp_path: Path) -> None:
    """Its batch had been lowered: that is what the search learns, and the other size is not tried again."""
    controller = make_controller(tmp_path, searcher="random", parameters={"batch": {"values": [4, 8, 16]}})
    request = start(controller)
    told = {"batch": 8, "device": "a GPU", "host": "n1", "recoveries": 1, "memory_mb": 9.0, "gpu_memory_mb": 7.0}
    for epoch in range(1, 5):
        controller.row(
            request.trial, row(epoch, 0.3).model_copy(update=told), checkpoint(request, epoch), request.attempt
        )
    controller.lost(request.trial, "killed")
    record = history(request).trials["t0000"].record
    assert (record.ending, record.used, record.threads) == (Ending.FINISHED, {"batch": 8}, 1)
    assert {"batch": 8, **record.model_dump(include=set(told))} == told
    asked = []
    while isinstance(request := take(controller), TrialRequest):
        asked.append(request.asked["batch"])
        end(controller, request, 0.1)
    assert sorted(asked) == [4, 8]


def test_a_gpu_that_nobody_told_of_is_not_called_a_cpu(tmp_path: Path) -> None:
    request = start(make_controller(tmp_path))
    for gpus, device in ((0, "cpu"), (1, "unknown")):
        known = TrialHistory(request=request.model_copy(update={"gpus": gpus}), started_at="")
        record = record_from_rows(RunFolder(request.folder), known, Ending.FAILED, "r", cause=Cause.INFRA, error=None)
        assert (record.device, record.host, record.epochs) == (device, "", 0)


def test_what_did_not_fit_may_fit_on_another_gpu_and_in_a_smaller_size(tmp_path: Path) -> None:
    sizes = {"batch": {"values": [8, 16, 32]}, "imgsz": {"values": [320, 640, 960]}}
    controller = make_controller(tmp_path, searcher="random", parameters=sizes)
    request = start(controller)
    assert request.asked == {"batch": 16, "imgsz": 640}
    end(controller, request, None, Ending.OOM, cause=Cause.RESOURCE, device="small GPU")

    def next_points(*devices: str) -> set[tuple[int, int]]:  # asking changes nothing
        proposals = [controller._generator.next(number, devices) for number in range(1, 60)]
        return {(p.parameters["batch"], p.parameters["imgsz"]) for p in proposals if p is not None}

    untried = {(batch, imgsz) for batch in (8, 16, 32) for imgsz in (320, 640, 960)} - {(16, 640)}
    too_big = {(16, 960), (32, 640), (32, 960)}
    assert next_points("small GPU") == untried - too_big
    assert next_points("big GPU") == untried
    assert next_points("small GPU", "big GPU") == untried
    assert next_points() == untried - too_big  # no GPU is known yet


def test_a_trial_that_died_before_it_obeyed_the_pruner_is_pruned(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=4, grace_epochs=2, reduction_factor=2)
    trials = [start(controller) for number in range(3)]
    train(controller, trials[1], (1, 2), 0.9)
    train(controller, trials[2], (1, 2), 0.1)
    controller.lost(trials[2].trial, "killed")
    assert history(trials[0]).trials["t0002"].record.ending is Ending.PRUNED


@pytest.mark.parametrize(("cause", "tries"), [(Cause.UNKNOWN, 3), (Cause.DATA, 1), (Cause.CONFIG, 1)])
def test_what_raised_is_tried_again_by_its_cause(tmp_path: Path, cause: Cause, tries: int) -> None:
    controller = make_controller(tmp_path)
    for attempt in range(tries):
        request = start(controller)
        assert (request.number, request.attempt) == (0, attempt)
        end(controller, request, None, Ending.FAILED, cause=cause, error="boom")
    assert start(controller).number == 1
    assert history(request).trials["t0000"].record.retries == tries - 1


def test_a_training_that_stood_still_is_tried_again_once(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    for _ in range(2):
        request = start(controller)
        stacks = RunFolder(request.folder).stacks(request.trial, request.attempt)
        stacks.parent.mkdir(parents=True, exist_ok=True)
        stacks.write_text("Timeout!")
        controller.lost(request.trial, "exit 1")
    record = history(request).trials["t0000"].record
    assert (record.ending, record.cause) == (Ending.FAILED, Cause.STALLED)
    assert "stacks-a01.txt" in record.reason
    assert start(controller).number == 1


def test_storage_that_cannot_be_written_stops_the_sweep_and_loses_nothing(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    end(controller, request, None, Ending.FAILED, cause=Cause.STORAGE, error="No space left on device")
    assert history(request).trials["t0000"].record.ending is Ending.CANCELLED
    assert take(controller) is None
    assert controller.over()
    OPEN.remove(controller)
    with pytest.raises(RunFolderError, match="cannot be written"):
        controller.close()


def test_a_sweep_that_a_full_disk_stopped_is_not_finished_once_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    controller = make_controller(tmp_path)
    request = start(controller)
    with monkeypatch.context() as now:
        now.setattr(os, "fsync", full)
        with pytest.raises(RunFolderError, match="free space, then resume"):
            end(controller, request, None, Ending.FAILED, cause=Cause.STORAGE, error="No space left on device")
    assert take(controller) is None
    assert controller.over()
    OPEN.remove(controller)
    with pytest.raises(RunFolderError, match="cannot be written"):
        controller.close()
    assert history(request).trials["t0000"].record.ending is Ending.CANCELLED


class Outage:
    """An object storage that is gone for a while; to wait for it takes no time here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.over = 0.0
        self.refused = False
        monkeypatch.setattr(outage_retry, "time", self)
        monkeypatch.setattr(objects, "retrying", self._retrying)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def begin(self, lasts_s: float) -> None:
        self.over = self.now + lasts_s

    def _retrying(self, call: Any, place: str, **options: Any) -> Any:
        def reached() -> Any:
            if self.refused:
                raise outage_retry.Refused("403 Forbidden")
            if self.now < self.over:
                raise OSError("Couldn't resolve host name")
            return call()

        return outage_retry.retrying(reached, place, **options)


def test_a_storage_that_refuses_ends_the_sweep_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    outage = Outage(monkeypatch)
    controller = make_controller((tmp_path / "bucket").as_uri())
    request = start(controller)
    outage.refused = True
    with pytest.raises(RunFolderError, match=r"cannot be used \(403 Forbidden\); check the address"):
        controller.row(request.trial, row(1, 0.4))
    assert outage.now == 0.0
    OPEN.remove(controller)
    controller._ledger.close()


def test_trials_wait_for_a_storage_that_is_gone_for_a_minute_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is gone for longer than five ends the sweep, which goes on from what was acknowledged."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    outage = Outage(monkeypatch)
    controller = make_controller((tmp_path / "bucket").as_uri())
    request = start(controller)
    train(controller, request, (1,))
    outage.begin(60.0)
    assert controller.row(request.trial, row(2, 0.4), checkpoint(request, 2)) is Verdict.CONTINUE
    assert 60.0 <= outage.now < 80.0
    outage.begin(60.0)
    assert controller.row(request.trial, row(3, 0.5)) is Verdict.CONTINUE  # the line alone waits, too
    known = history(request)
    assert [(one.epoch, one.score) for one in known.trials["t0000"].rows] == [(1, 0.3), (2, 0.4), (3, 0.5)]
    assert known.trials["t0000"].resumes == []
    assert "the storage did not answer for 6" in known.notes[-1].text

    outage.begin(3600.0)
    with pytest.raises(RunFolderError, match=r"cannot be used, for 300 s \(Couldn't resolve host name\); check"):
        controller.row(request.trial, row(4, 0.6))
    OPEN.remove(controller)
    controller._ledger.close()
    outage.begin(0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    resumed = start(again(RunFolder.open(request.folder)))
    assert (resumed.trial, [stored.epoch for stored in resumed.resume]) == ("t0000", [2, 1])
    assert [one.epoch for one in history(resumed).trials["t0000"].rows] == [1, 2]


def test_a_replaced_process_is_no_loss(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    offer = controller.suggest()
    assert isinstance(offer, Offer)
    for _ in range(5):
        controller.leaving(offer.trial)
        controller.lost(offer.trial, "exit")
    assert start(controller).number == 0


def wait(
    controller: SweepController, clock: Clock, seconds: int, busy: dict[str, str], *, beating: Iterable[str] = ()
) -> list[str]:
    """Let time pass as for the driver, while some workers send heartbeats; return the workers that hang."""
    hung: list[str] = []
    for _ in range(seconds):
        clock.now += 1
        for worker in beating:
            controller.heartbeat(worker)
        hung += controller.look(busy).hung
        busy = {worker: trial for worker, trial in busy.items() if worker not in hung}
    return hung


def test_the_trial_of_a_process_that_hangs_resumes_in_another(tmp_path: Path) -> None:
    clock = Clock()
    controller = make_controller(tmp_path, clock)
    hanging, other = start(controller), start(controller)
    for request in (hanging, other):
        controller.row(request.trial, row(1, 0.1))
    busy = {"a": hanging.trial, "b": other.trial}
    assert wait(controller, clock, 5, busy, beating=["a", "b"]) == []
    assert wait(controller, clock, 700, busy, beating=["b"]) == ["a"]
    assert [event.cause for event in history(hanging).trials[hanging.trial].resumes] == ["infra"]
    controller.lost(hanging.trial, "killed")  # what Tune reports some seconds later
    end(controller, other, 0.5)
    again = start(controller)
    assert (again.trial, again.attempt) == (hanging.trial, 1)
    assert controller.verdict(hanging.trial, hanging.attempt) is Verdict.CANCEL
    assert not [note for note in history(hanging).notes if "while it had no trial" in note.text]


def test_a_process_that_hangs_does_not_hold_a_sweep_whose_time_is_up(tmp_path: Path) -> None:
    clock = Clock()
    controller = make_controller(tmp_path, clock, time_budget="10s")
    request = start(controller)
    controller.row(request.trial, row(1, 0.1))
    wait(controller, clock, 5, {"a": request.trial}, beating=["a"])
    assert wait(controller, clock, 40, {"a": request.trial}) == ["a"]
    assert controller.look({}).settled == (request.trial,)
    controller.withdrawn(request.trial)
    assert controller.suggest() is None
    assert controller.over()
    controller.close()
    assert history(request).trials[request.trial].record.ending is Ending.CANCELLED


def test_a_trial_that_tune_gave_up_is_suggested_again(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=1)
    request = start(controller)
    assert controller.suggest() == "wait"
    controller.lost(request.trial, "node lost")
    controller.withdrawn(request.trial)
    assert not controller.over()
    offer = controller.suggest()
    assert isinstance(offer, Offer)
    assert (offer.trial, offer.parameters) == (request.trial, request.asked)
    assert start(controller).attempt == 1


def test_a_trial_whose_machine_has_to_go_goes_on_elsewhere_from_where_it_stood(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=1)
    request = start(controller)
    assert take(controller) == "wait"
    controller.row(request.trial, row(1, 0.5))
    controller.row(request.trial, row(2, 0.6))
    controller.preempt(request.trial, attempt=7)  # of a process long dead
    assert controller.verdict(request.trial) is Verdict.CONTINUE
    controller.preempt(request.trial)
    assert controller.verdict(request.trial) is Verdict.CANCEL
    folder = RunFolder(request.folder)
    state = folder.publish(b"state", folder.checkpoint(request.trial, "a00-e0002.state"))
    end(controller, request, None, Ending.CANCELLED, checkpoint=Checkpoint(epoch=2, state=state))
    controller.lost(request.trial, "exit")  # of the process, as it has to
    assert not controller.over()
    again = start(controller)
    assert (again.trial, again.attempt) == (request.trial, 1)
    assert [one.epoch for one in again.resume] == [2]
    assert controller.verdict(again.trial, 1) is Verdict.CONTINUE
    known = history(request).trials[request.trial]
    assert [(event.cause, event.from_epoch) for event in known.resumes] == [("preempted", 2)]
    assert [one.epoch for one in known.rows] == [1, 2]


def test_a_trial_told_to_go_may_end_on_its_own(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=1)
    request = start(controller)
    controller.preempt(request.trial)
    end(controller, request, 0.5)
    assert controller.over()
    assert history(request).trials[request.trial].status == "finished"


def test_batches_that_did_not_fit_are_not_tried_again(tmp_path: Path) -> None:
    controller = make_controller(
        tmp_path, trials=30, searcher="random", parameters={"batch": {"values": [4, 8, 16, 32, 64]}}
    )
    first = start(controller)
    assert first.asked == {"batch": 16}
    controller.ended(
        TrialRecord(
            trial=first.trial, number=0, ending=Ending.FINISHED, reason="r", asked=first.asked, used={"batch": 8},
            score=0.5,
        )
    )  # fmt: skip
    asked = []
    while isinstance(request := take(controller), TrialRequest):
        asked.append(request.asked["batch"])
        end(controller, request, 0.1)
    assert sorted(asked) == [4, 8]


def test_a_process_that_dies_without_a_trial_is_told_and_one_that_is_replaced_is_not(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request, offer = start(controller), controller.suggest()
    assert isinstance(offer, Offer)
    controller.lost(offer.trial, "killed")
    controller.leaving(offer.trial)
    controller.lost(offer.trial, "replaced")
    (told,) = [note.text for note in history(request).notes]
    assert told == "a worker process died while it had no trial; another one replaces it: killed"


def too_big(controller: SweepController, request: TrialRequest) -> None:
    """End a training of which no epoch fitted, as the rank that noticed it records it."""
    end(controller, request, None, Ending.OOM, cause=Cause.RESOURCE, error="out of memory")


@pytest.mark.parametrize(
    ("ranks", "batches"), [(2, [64, 32, 16, 8]), (4, [16, 8, 4])], ids=["three times", "an image per rank"]
)
def test_several_ranks_begin_anew_with_half_the_batch(tmp_path: Path, ranks: int, batches: list[int]) -> None:
    controller = make_controller(tmp_path, ranks=ranks, batch=batches[0])
    for attempt, batch in enumerate([None, *batches[1:]]):
        request = start(controller)
        assert (request.number, request.attempt, request.lowered) == (0, attempt, batch)
        too_big(controller, request)
    trial = history(request).trials["t0000"]
    assert (trial.record.ending, trial.record.retries) == (Ending.OOM, attempt)
    assert [event.from_epoch for event in trial.resumes] == [0] * attempt
    assert take(controller) is None, "the other trials have the same batch"


def test_a_lowered_batch_outlives_its_machine_and_its_driver(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, ranks=2)
    too_big(controller, start(controller))
    request = start(controller)
    controller.row(request.trial, row(1, 0.5), None, request.attempt)
    controller.lost(request.trial, "killed")
    request = start(controller)
    assert (request.attempt, request.lowered) == (2, 8)
    OPEN.remove(controller)
    controller.close()
    request = start(again(RunFolder(request.folder)))
    assert (request.number, request.lowered) == (0, 8)


@pytest.mark.parametrize("why", ["the policy", "one rank", "a row"])
def test_a_batch_that_does_not_fit_is_not_lowered_between_attempts(tmp_path: Path, why: str) -> None:
    controller = make_controller(
        tmp_path, ranks=1 if why == "one rank" else 2, on_oom="fail" if why == "the policy" else "lower_batch"
    )
    request = start(controller)
    if why == "a row":
        controller.row(request.trial, row(1, 0.5), None, request.attempt)
    too_big(controller, request)
    assert history(request).trials["t0000"].record.ending is Ending.OOM
    assert take(controller) is None, "the other trials have the same batch"


def copied_until(folder: RunFolder, target: Path, lines: int) -> RunFolder:
    """Return a copy of a run folder whose ledger ends after some lines: the driver died there."""
    shutil.copytree(folder.root, target, ignore=shutil.ignore_patterns("*.lock"))
    ledger = target / "ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:lines]))
    return RunFolder(target)


def again(desk_folder: RunFolder, **search: Any) -> SweepController:
    """Take a sweep up again the way ``yolosweep resume`` does."""
    started = next(read_events(desk_folder.ledger))
    experiment = started.experiment
    experiment["search"].update(search)
    controller = SweepController(
        desk_folder.address, experiment=experiment, model="yolo11n.yaml", model_fingerprint="yolo11n.yaml",
        dataset=started.dataset.model_dump(mode="json"), cpus=1, gpus=0, header={}, clock=Clock(),
    )  # fmt: skip
    OPEN.append(controller)
    return controller


@pytest.mark.slow
def test_with_the_same_ledger_the_next_suggestion_is_the_same(tmp_path: Path) -> None:
    """A sweep is cut after every line of its ledger; whoever takes it up suggests what the first one suggested."""
    controller = make_controller(tmp_path, trials=16, epochs=4, grace_epochs=1, reduction_factor=2)
    first = None
    for number in range(16):
        request = start(controller)
        first = first or request
        for epoch in range(1, 5):
            if controller.row(request.trial, row(epoch, (number * 7 % 5) / 5), None) is Verdict.PRUNE:
                break
        end(controller, request, (number * 7 % 5) / 5, Ending.FINISHED)
    assert first is not None
    folder = RunFolder(first.folder)
    controller.close()
    OPEN.clear()
    lines = list(read_events(folder.ledger))
    starts = [event.seq for event in lines if event.event == "trial_started"]
    for cut in starts[9:]:  # from where TPE has taken over
        taken_up = again(copied_until(folder, tmp_path / f"cut{cut}", cut))
        request = start(taken_up)
        assert request.attempt == 0
        assert request.asked == lines[cut].request.asked


def test_the_pruner_knows_what_came_to_its_rungs_before(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=4, grace_epochs=2, reduction_factor=2)
    trials = [start(controller) for number in range(3)]
    train(controller, trials[1], (1, 2), 0.9)
    folder = RunFolder(trials[0].folder)
    taken_up = again(copied_until(folder, tmp_path / "copy", 99))
    resumed = {request.trial: request for request in (start(taken_up) for number in range(3))}
    assert taken_up.row("t0002", row(1, 0.1), None, resumed["t0002"].attempt) is Verdict.CONTINUE
    assert taken_up.row("t0002", row(2, 0.1), None, resumed["t0002"].attempt) is Verdict.PRUNE


def test_finished_trials_are_not_run_again_and_cancelled_ones_go_on(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=3)
    done, stopped = start(controller), start(controller)
    train(controller, done, (1, 2, 3, 4))
    end(controller, done, 0.3)
    train(controller, stopped, (1, 2))
    controller.cancel("stopped by SIGTERM")
    end(controller, stopped, 0.3, Ending.CANCELLED)
    OPEN.clear()
    controller.close()
    taken_up = again(RunFolder(done.folder))
    assert [(r.trial, r.attempt, r.resume[0].epoch if r.resume else 0) for r in (start(taken_up), start(taken_up))] == [
        ("t0001", 1, 2),
        ("t0002", 0, 0),
    ]


def test_more_trials_extend_a_finished_sweep(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=1)
    request = start(controller)
    end(controller, request, 0.3)
    OPEN.clear()
    controller.close()
    assert start(again(RunFolder(request.folder), trials=2)).number == 1


def test_a_time_budget_counts_the_time_before_but_not_the_pause(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    OPEN.clear()
    controller.close()
    known = history(request)
    folder = RunFolder(request.folder)
    content = folder.ledger.read_text().splitlines()
    first, last = json.loads(content[0]), json.loads(content[-1])
    first["at"], last["at"] = "2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+00:00"
    folder.ledger.write_text("\n".join([json.dumps(first), json.dumps(last | {"event": "note", "text": ""})]) + "\n")
    again(folder)
    assert known.seq >= 1
    assert 3600 <= History.of(folder).active_seconds < 3660


def test_processes_that_never_begin_end_the_sweep(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    offer = controller.suggest()
    assert isinstance(offer, Offer)
    for _ in range(3):
        controller.lost(offer.trial, "No module named torch")
    controller.withdrawn(offer.trial)
    assert take(controller) is None
    OPEN.clear()
    with pytest.raises(ClusterError, match="keep dying before they can start a trial: No module named torch"):
        controller.close()


def test_the_same_point_is_never_run_twice(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=20, searcher="random", parameters={"batch": {"values": [4, 8, 16]}})
    seen = []
    for _ in range(3):
        seen.append(start(controller).asked["batch"])
    assert sorted(seen) == [4, 8, 16]
    assert take(controller) == "wait"
    OPEN.clear()
    assert "every point" in controller.close()


def test_a_grid_is_run_once_with_the_defaults_first(tmp_path: Path) -> None:
    controller = make_controller(tmp_path, trials=None, searcher="grid", parameters={"batch": {"values": [4, 8, 16]}})
    asked = []
    while isinstance(request := take(controller), TrialRequest):
        asked.append(request.asked["batch"])
    assert asked[0] == 16
    assert sorted(asked) == [4, 8, 16]


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[SweepController, Clock, TrialRequest]:
    """A grid of which one point is left, too big for the GPU of node n0; n1 trains its first on another."""
    clock = Clock()
    grid = {"imgsz": {"values": [320, 640, 960, 1280]}}
    controller = make_controller(tmp_path, clock, trials=None, searcher="grid", parameters=grid)
    first, other = start(controller, "n0"), start(controller, "n1")
    end(controller, first, 0.5, device="small GPU")
    end(controller, start(controller, "n0"), None, Ending.OOM, cause=Cause.RESOURCE, device="small GPU")
    assert controller.suggest() == "wait"
    return controller, clock, other


def test_a_grid_point_too_big_for_one_gpu_is_kept_for_another(
    mixed: tuple[SweepController, Clock, TrialRequest],
) -> None:
    controller, _, other = mixed
    end(controller, other, 0.3, device="big GPU")
    offer = controller.suggest()
    assert isinstance(offer, Offer)
    assert (offer.parameters, offer.excluded) == ({"imgsz": 1280}, ("n0",))
    assert not [note for note in history(other).notes if "not tried" in note.text]


def test_a_grid_point_too_big_for_every_gpu_is_left_out(mixed: tuple[SweepController, Clock, TrialRequest]) -> None:
    controller, _, other = mixed
    end(controller, other, 0.3, device="small GPU")
    assert (controller.suggest(), controller.over()) == (None, True)
    (note,) = [note.text for note in history(other).notes]
    assert note.startswith("not tried")
    assert note.endswith(": imgsz=1280")
    OPEN.clear()
    assert "too big for the GPU" in controller.close()


def test_a_grid_point_waits_a_while_for_the_other_gpu(mixed: tuple[SweepController, Clock, TrialRequest]) -> None:
    controller, clock, other = mixed
    end(controller, other, 0.3, device="big GPU")
    offer = controller.suggest()
    assert isinstance(offer, Offer)
    controller.look({})
    clock.now = 599.0
    assert offer.trial not in controller.look({}).settled
    clock.now = 601.0
    assert offer.trial in controller.look({}).settled
    controller.withdrawn(offer.trial)
    assert controller.suggest() == Offer(trial=offer.trial, parameters=offer.parameters, excluded=())


def test_cancel_stops_running_trials_and_keeps_the_first_reason(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    controller.cancel("Ctrl-C")
    controller.cancel("later")
    assert controller.verdict(request.trial) is Verdict.CANCEL
    OPEN.clear()
    assert controller.close() == "Ctrl-C"
    assert history(request).trials[request.trial].record.ending is Ending.CANCELLED


def test_trials_without_a_score_do_not_stop_the_search(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    end(controller, start(controller), None, Ending.DIVERGED)
    assert start(controller).number == 1


def test_a_process_that_comes_back_to_life_changes_nothing_that_is_recorded(tmp_path: Path) -> None:
    """Frozen while it published: its trial went on elsewhere and finished before it thawed."""
    controller = make_controller(tmp_path)
    zombie = start(controller)
    folder = RunFolder(zombie.folder)

    def publish(request: TrialRequest, content: bytes) -> dict[str, FileRef]:
        names = ("best.pt", "last.pt", "results.csv")
        return {n: folder.publish(content, folder.attempt(request.trial, request.attempt, n)) for n in names}

    controller.lost(zombie.trial, "frozen")
    again = start(controller)
    assert (again.trial, again.attempt) == (zombie.trial, 1)
    record = TrialRecord(
        trial=again.trial, number=again.number, ending=Ending.FINISHED, reason="r", asked=again.asked,
        used=again.asked, score=0.5, files=publish(again, b"the recorded weights"),
    )  # fmt: skip
    controller.ended(record, again.attempt)
    recorded = history(again).trials[again.trial].record
    assert recorded is not None
    assert {name: file.path for name, file in recorded.files.items()} == {
        name: f"trials/t0000/{name}" for name in ("best.pt", "last.pt", "results.csv")
    }
    assert not folder.attempt(again.trial, 1, "best.pt").parent.exists()

    late = record.model_copy(update={"files": publish(zombie, b"late"), "score": 0.9})
    controller.ended(late, zombie.attempt)
    controller.rank_failed(1, late, zombie.attempt)
    assert history(again).trials[again.trial].record == recorded
    for file in recorded.files.values():
        assert folder.resolve(file).read_bytes() == b"the recorded weights"
    controller.close()
    OPEN.remove(controller)
    assert not folder.attempt(again.trial, 0, "best.pt").parents[1].exists()  # what it left is cleared


def test_ending_twice_with_the_same_record_moves_its_files_once(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    folder = RunFolder(request.folder)
    file = folder.publish(b"weights", folder.attempt(request.trial, 0, "best.pt"))
    record = TrialRecord(
        trial=request.trial, number=0, ending=Ending.FINISHED, reason="r", asked=request.asked, used=request.asked,
        score=0.5, files={"best.pt": file},
    )  # fmt: skip
    controller.ended(record, 0)
    controller.ended(record, 0)
    recorded = history(request).trials[request.trial].record
    assert recorded is not None
    assert folder.resolve(recorded.files["best.pt"]).read_bytes() == b"weights"


def test_a_file_that_is_gone_before_its_trial_is_recorded_is_left_out_and_noted(tmp_path: Path) -> None:
    controller = make_controller(tmp_path)
    request = start(controller)
    folder = RunFolder(request.folder)
    names = ("best.pt", "last.pt")
    files = {name: folder.publish(b"w", folder.attempt(request.trial, 0, name)) for name in names}
    folder.resolve(files["best.pt"]).unlink()
    record = TrialRecord(
        trial=request.trial, number=0, ending=Ending.FINISHED, reason="r", asked=request.asked, used=request.asked,
        score=0.5, files=files,
    )  # fmt: skip
    controller.ended(record, 0)
    known = history(request)
    recorded = known.trials[request.trial].record
    assert recorded is not None
    assert recorded.files.keys() == {"last.pt"}
    assert [(note.trial, note.text) for note in known.notes] == [
        (request.trial, "best.pt is missing: it was removed before the trial was recorded")
    ]
