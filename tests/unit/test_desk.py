"""The desk, called directly: budgets, pruning, retention, endings. No Ray."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yolosweep.experiment import Experiment
from yolosweep.experiment.settings import resolved
from yolosweep.history import History
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, EpochRow, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.search.desk import Desk

DATASET = PreparedDataset(
    task="detect", source="/d/data.yaml", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9, "val": 9},
    fingerprint="f" * 64,
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


OPEN: list[Desk] = []
SLOTS = itertools.count(1000)


@pytest.fixture(autouse=True)
def _close_desks() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def make_desk(tmp_path: Path, clock: Clock | None = None, *, epochs: int = 4, keep_top: int = 3, **search: Any) -> Desk:
    exp = resolved(
        Experiment.model_validate(
            {
                "name": "d",
                "model": "yolo11n.yaml",
                "data": "/d/data.yaml",
                "keep_top": keep_top,
                "train": {"epochs": epochs, "optimizer": "AdamW"},
                "search": {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}, "trials": 5, **search},
            }
        )
    )
    folder = RunFolder.create(tmp_path, "d")
    desk = Desk(
        str(folder.root),
        experiment=exp.model_dump(mode="json"),
        model="yolo11n.yaml",
        model_fingerprint="yolo11n.yaml",
        dataset=DATASET.model_dump(mode="json"),
        cpus=1,
        gpus=0,
        header={},
        clock=clock or Clock(),
    )
    OPEN.append(desk)
    return desk


def start(desk: Desk, slot: int | None = None) -> TrialRequest:
    """Begin a trial, in a slot of its own unless told otherwise."""
    request = desk.begin(next(SLOTS) if slot is None else slot)
    assert isinstance(request, TrialRequest)
    return request


def row(epoch: int, score: float | None, best: float | None = None) -> EpochRow:
    return EpochRow(
        epoch=epoch, metrics={}, score=score, best_score=score if best is None else best, best_epoch=epoch,
        epochs_without_gain=0, seconds=1.0, images_per_s=9.0,
    )  # fmt: skip


def end(desk: Desk, request: TrialRequest, score: float | None, ending: Ending = Ending.FINISHED, **more: Any) -> None:
    files = {}
    if score is not None:
        folder = RunFolder(request.folder)
        local = folder.root / "weights.tmp"
        local.write_bytes(request.trial.encode())
        files = {name: folder.publish(local, folder.trial(request.trial) / name) for name in ("best.pt", "last.pt")}
    desk.ended(
        TrialRecord(
            trial=request.trial, number=request.number, ending=ending, reason="r", asked=request.asked,
            used={**request.asked, "batch": 16}, score=score, files=files, **more,
        )
    )  # fmt: skip


def history(request: TrialRequest) -> History:
    return History.of(RunFolder(request.folder))


def test_trial_0_is_the_defaults(tmp_path: Path) -> None:
    request = start(make_desk(tmp_path))
    assert request.trial == "t0000"
    assert request.asked == {"lr0": 0.01}


def test_a_default_outside_of_the_space_is_replaced_by_the_nearest_point(tmp_path: Path) -> None:
    request = start(make_desk(tmp_path, parameters={"imgsz": {"values": [64, 96]}, "lr0": {"min": 0.02, "max": 0.1}}))
    assert request.asked == {"imgsz": 96, "lr0": 0.02}


def test_no_more_trials_than_asked_for(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, trials=3)
    assert [start(desk).number for _ in range(3)] == [0, 1, 2]
    assert desk.begin(7) is None


def test_an_epoch_budget_is_never_exceeded(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, trials=None, epoch_budget=10)
    first, second = start(desk), start(desk)
    assert desk.begin(7) == "wait"  # 8 of 10 promised, 4 more do not fit, but a running trial may end early
    desk.row(first.trial, row(1, 0.1))
    end(desk, first, 0.1, Ending.PATIENCE)
    start(desk)  # 1 trained + 4 + 4 = 9
    assert desk.begin(7) == "wait"
    for epoch in range(1, 5):
        desk.row(second.trial, row(epoch, 0.2))
    end(desk, second, 0.2)
    assert desk.begin(7) == "wait"


def test_a_time_budget_cancels_what_runs_and_starts_nothing_more(tmp_path: Path) -> None:
    clock = Clock()
    desk = make_desk(tmp_path, clock, time_budget="1h")
    request = start(desk)
    assert desk.verdict(request.trial) is Verdict.GO_ON
    clock.now = 3601
    assert desk.verdict(request.trial) is Verdict.CANCEL
    assert desk.row(request.trial, row(1, 0.5)) is Verdict.CANCEL
    assert desk.begin(7) is None
    OPEN.clear()
    assert "time budget" in desk.close()


def test_the_pruner_stops_the_worst_but_never_the_defaults_nor_the_last_epoch(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, trials=6, grace_epochs=2, reduction_factor=2)
    trials = [start(desk) for _ in range(6)]
    for number in (5, 4, 3, 2, 1):
        assert desk.row(trials[number].trial, row(1, 0.0)) is Verdict.GO_ON  # no rung
        assert desk.row(trials[number].trial, row(2, 0.5 + number / 10)) in Verdict
    assert desk.row(trials[0].trial, row(2, 0.0)) is Verdict.GO_ON
    for trial in trials:
        assert desk.row(trial.trial, row(4, 0.0, 0.0)) is Verdict.GO_ON


def test_a_trial_behind_at_a_rung_is_pruned(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, trials=4, grace_epochs=2, reduction_factor=2)
    trials = [start(desk) for _ in range(3)]
    assert desk.row(trials[1].trial, row(2, 0.9)) is Verdict.GO_ON
    assert desk.row(trials[2].trial, row(2, 0.1)) is Verdict.PRUNE


def test_only_the_best_checkpoints_stay_and_the_ledger_says_which_went(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, keep_top=2)
    scores = [0.1, 0.4, 0.3, 0.2]
    for score in scores:
        request = start(desk)
        desk.row(request.trial, row(1, score))
        end(desk, request, score)
    known = history(request)
    assert [t for t, trial in known.trials.items() if not trial.dropped] == ["t0001", "t0002"]
    folder = RunFolder(request.folder)
    assert sorted(p.parent.name for p in folder.root.glob("trials/*/best.pt")) == ["t0001", "t0002"]
    assert sorted(p.parent.name for p in folder.root.glob("trials/*/last.pt")) == ["t0001", "t0002"]


def test_a_dead_worker_becomes_a_failed_trial_with_the_rows_it_had(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    request = start(desk, slot=0)
    desk.row(request.trial, row(1, 0.3))
    desk.lost(0, "killed")
    desk.lost(0, "told twice")
    trial = history(request).trials[request.trial]
    assert trial.record.ending is Ending.FAILED
    assert (trial.record.score, trial.record.epochs) == (0.3, 1)
    assert "killed" in trial.record.reason


def test_a_slot_that_begins_again_gives_up_its_last_trial(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    first, second = start(desk, slot=0), start(desk, slot=0)
    trials = history(first).trials
    assert trials[first.trial].record.ending is Ending.FAILED
    assert trials[second.trial].record is None


def test_processes_that_never_begin_end_the_sweep(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    for _ in range(3):
        desk.lost(0, "No module named torch")
    assert desk.begin(0) is None
    OPEN.clear()
    assert "No module named torch" in desk.close()


def test_the_same_point_is_never_run_twice(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, trials=20, searcher="random", parameters={"batch": {"values": [4, 8, 16]}})
    seen = []
    for _ in range(3):
        seen.append(start(desk).asked["batch"])
    assert sorted(seen) == [4, 8, 16]
    assert desk.begin(7) is None
    assert desk.begin(8) is None
    OPEN.clear()
    assert "every point" in desk.close()


def test_a_grid_is_run_once_with_the_defaults_first(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, trials=None, searcher="grid", parameters={"batch": {"values": [4, 8, 16]}})
    asked = []
    while (request := desk.begin(next(SLOTS))) is not None:
        asked.append(request.asked["batch"])
    assert asked[0] == 16
    assert sorted(asked) == [4, 8, 16]


def test_cancel_stops_running_trials_and_keeps_the_first_reason(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    request = start(desk)
    desk.cancel("Ctrl-C")
    desk.cancel("later")
    assert desk.verdict(request.trial) is Verdict.CANCEL
    OPEN.clear()
    assert desk.close() == "Ctrl-C"
    assert history(request).trials[request.trial].record.ending is Ending.FAILED  # it never answered


@pytest.mark.parametrize("ending", [Ending.DIVERGED, Ending.OOM])
def test_trials_without_a_score_do_not_stop_the_search(tmp_path: Path, ending: Ending) -> None:
    desk = make_desk(tmp_path)
    end(desk, start(desk), None, ending)
    assert start(desk).number == 1
