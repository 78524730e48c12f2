"""The live screen, from recorded state: nothing is wider than the terminal, and no number is cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yolosweep.backends.activity_meter import ActivityMeter
from yolosweep.cli.live_screen import Pace, activity_text, screen
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, PreparedDataset, TrialRecord, TrialRequest
from yolosweep.records.events import EpochRecorded, SweepStarted, TrialEnded, TrialStarted
from yolosweep.records.worker_activity import Activity, Stage

METRIC = "metrics/mAP50-95(B)"
SETTINGS = {"lr0": 0.0012345, "weight_decay": 0.00054321, "mosaic": 0.7312, "scale": 0.4512, "hsv_v": 0.2931}
TRAINING = Activity(
    stage=Stage.TRAIN, trial="t0003", epoch=13, done=1234, of=4321, batches_per_s=12.3456,
    losses={"box_loss": 1.23456, "cls_loss": 0.98765, "dfl_loss": 1.11111, "pose_loss": 10.5, "kobj_loss": 0.6789},
    gpu_memory_mb=12345.6,
)  # fmt: skip


def opening() -> SweepStarted:
    data = PreparedDataset(
        task="detect", source="/d", train_on="/d", names={0: "a"}, images={"train": 4}, fingerprint="f" * 64
    )
    experiment = {"search": {"metric": METRIC, "mode": "max"}, "train": {"epochs": 50}}
    return SweepStarted(sweep="s", experiment=experiment, dataset=data)


def suggested(number: int) -> TrialStarted:
    trial = f"t{number:04d}"
    request = TrialRequest(
        sweep="s", trial=trial, number=number, task="detect", model="m", data="d", asked=SETTINGS,
        settings={"epochs": 50, **SETTINGS}, identity=trial, metric=METRIC, folder="/runs/s",
    )  # fmt: skip
    return TrialStarted(request=request)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A sweep with thirty finished trials and one that runs."""
    folder = RunFolder.create(tmp_path_factory.mktemp("runs"), "screen")
    ledger = Ledger(folder)
    ledger.append(opening())
    for number in range(31):
        trial = f"t{number:04d}"
        ledger.append(suggested(number))
        score = 0.1 + number / 100
        row = EpochResult(
            epoch=1, metrics={}, score=score, best_score=score, best_epoch=1, epochs_without_gain=0, seconds=2.0,
            images_per_s=9.0,
        )  # fmt: skip
        ledger.append(EpochRecorded(trial=trial, row=row))
        if number < 30:
            record = TrialRecord(
                trial=trial, number=number, ending=Ending.FINISHED, reason="r", asked=SETTINGS, used=SETTINGS
            )
            ledger.append(TrialEnded(record=record))
    ledger.close()
    return History.of(folder)


def drawn(history: History, width: int, height: int = 24, *activities: Activity) -> list[str]:
    return screen(
        history, activities, Pace(trials=40, epochs=50, elapsed_s=754.0, trained=30), width=width, height=height
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_too_wide_and_no_number_is_cut(history: History, width: int) -> None:
    running = TRAINING.model_copy(update={"trial": "t0030"})
    lines = drawn(history, width, 24, running)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24
    text = " ".join(" ".join(lines).split())
    for shown in (
        "30/40 trials", "31/2000 epochs", "best 0.4000 t0030", "12 min 34 s so far", "epoch 13/50",
        "1234/4321 batches", "12.3 it/s", "GPU 12.1 GiB", "box_loss 1.235", "cls_loss 0.9877", "kobj_loss 0.6789",
    ):  # fmt: skip
        assert shown in text
    pairs = {f"{name}={value:.4g}" for name, value in SETTINGS.items()}
    written = [word for line in lines for word in line.split() if "=" in word]
    assert written or width < 80
    assert set(written) <= pairs  # whole, or not at all
    rows = [line.split()[:6] for line in lines if re.match(r"t\d{4}", line)]
    assert rows[:2] == [
        ["t0030", "running", "1/50", "0.4000", "0.4000", "1"],
        ["t0029", "finished", "1/50", "0.3900", "0.3900", "1"],
    ]
    assert f"{31 - len(rows)} more: yolosweep show" in lines


def test_many_running_trainings_leave_room_for_the_table(history: History) -> None:
    many = [TRAINING.model_copy(update={"trial": f"t{number:04d}"}) for number in range(100, 140)]
    lines = drawn(history, 80, 24, *many)
    assert len(lines) <= 24
    assert any(line.strip() == "… 29 more" for line in lines)
    assert any(line.startswith("t0029") for line in lines)


def test_a_worker_is_shown_from_its_first_moment() -> None:
    nothing = Pace(trials=4, epochs=3, elapsed_s=1.0, trained=0)

    def text(*activities: Activity) -> str:
        return "\n".join(screen(History(), activities, nothing, width=80, height=24))

    assert "starting the worker processes" in text()
    preparing = Activity(stage=Stage.PREPARE)
    assert "2 workers importing the training library" in text(preparing, preparing)
    assert "t0000  setting up: model, loaders and image cache" in text(Activity(stage=Stage.SET_UP, trial="t0000"))


def test_a_trial_that_no_worker_has_yet_is_no_silence(history: History) -> None:
    assert "  t0030 is handed to a worker" in drawn(history, 80)
    begun = History()
    begun.extend([opening(), suggested(0)])
    assert "  starting the worker processes" in drawn(begun, 80)


def test_what_a_worker_last_said_of_an_ended_trial_is_not_shown(history: History) -> None:
    assert not any("batches" in line for line in drawn(history, 80, 24, TRAINING))


def test_validation_is_told_from_training() -> None:
    validating = Activity(stage=Stage.VALIDATE, trial="t0001", epoch=2, done=3, of=9)
    assert activity_text(validating, 5) == "t0001  epoch 2/5, validating  3/9 batches"


def test_an_epoch_is_measured_at_most_once_a_second() -> None:
    now, seen, read = [0.0], [], []
    meter = ActivityMeter("t0000", seen.append, clock=lambda: now[0])

    def losses() -> dict[str, float]:
        read.append(now[0])
        return {"box_loss": 1.5}

    meter.begin(Stage.TRAIN, epoch=4, of=8)
    for _ in range(8):
        now[0] += 0.4
        meter.batch(losses, lambda: 100.0)
    meter.begin(Stage.VALIDATE, of=2)
    assert [(one.stage.value, one.epoch, one.done, one.of) for one in seen] == [
        ("train", 4, 0, 8),
        ("train", 4, 3, 8),
        ("train", 4, 6, 8),
        ("validate", 4, 0, 2),
    ]
    assert len(read) == 2
    assert seen[2].batches_per_s == pytest.approx(2.5)
    assert seen[2].losses == {"box_loss": 1.5}
    assert seen[2].gpu_memory_mb == 100.0


def test_the_driver_gets_the_activities_of_workers_that_are_busy(tmp_path: Path) -> None:
    from yolosweep.search.worker_table import WorkerTable

    table = WorkerTable()
    table.heartbeat("b", 0.0, TRAINING)
    table.heartbeat("a", 0.0, Activity(stage=Stage.PREPARE))
    table.heartbeat("c", 0.0, None)
    table.heartbeat("d", 0.0, TRAINING)
    assert table.silent({"a": "t0001", "b": "t0002", "c": "t0003"}, 1.0, lambda trial: 30.0) == []
    assert [activity.stage for activity in table.activities()] == [Stage.PREPARE, Stage.TRAIN]
