"""What every trainer must do, whatever it trains. A new one supplies a few class attributes and inherits the suite."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.tools.micro_model import MICRO

from yolosweep.backends import Trainer, backend_for, trainer_for
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.diagnosis.curves import progress
from yolosweep.errors import RunFolderError, TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, Ending, EpochResult, TrialRecord, TrialRequest, Verdict
from yolosweep.records.worker_activity import Activity, Stage
from yolosweep.storage.atomic_files import sha256_of

Make = Callable[..., TrialRequest]
FILES = {"best.pt", "last.pt", "results.csv", "args.yaml"}
MEASURED_LIVE = {"seconds", "images_per_s", "memory_mb", "gpu_memory_mb"}
"""Fields of a row that depend on the machine, not on the request."""


@dataclass(frozen=True)
class Done:
    """One training that ended."""

    request: TrialRequest
    rows: list[EpochResult]
    checkpoints: list[Checkpoint]
    activities: list[Activity]
    record: TrialRecord

    def file(self, name: str) -> Path:
        return RunFolder(self.request.folder).resolve(self.record.files[name])


def run(
    trainer: Trainer, request: TrialRequest, verdicts: Sequence[Verdict] = (), stop_after: int | None = None
) -> Done:
    """Train; answer the epochs with ``verdicts`` (then CONTINUE), and ask to stop after ``stop_after`` epochs."""
    rows: list[EpochResult] = []
    checkpoints: list[Checkpoint] = []
    activities: list[Activity] = []
    answers = iter(verdicts)

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        checkpoints.extend([checkpoint] if checkpoint else [])
        return next(answers, Verdict.CONTINUE)

    record = trainer.train(
        request, report, lambda: stop_after is not None and len(rows) >= stop_after, activities.append
    )
    return Done(request, rows, checkpoints, activities, record)


def going_on(done: Done) -> TrialRequest:
    """Return the request the controller would hand out next for a training that was stopped."""
    newest_first = tuple(reversed(done.checkpoints))
    return done.request.model_copy(update={"attempt": done.request.attempt + 1, "resume": newest_first})


def snapshot(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256_of(file) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="class")
def contract(request: pytest.FixtureRequest) -> type[TrainerContract]:
    """The subclass whose tests run."""
    found: type[TrainerContract] = request.cls
    return found


@pytest.fixture(scope="class")
def trainer(contract: type[TrainerContract]) -> Trainer:
    return trainer_for(contract.model)


@pytest.fixture(scope="class")
def data(contract: type[TrainerContract], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_parking(tmp_path_factory.mktemp("data") / "parking", images=contract.images, size=96)


@pytest.fixture(scope="class")
def make(contract: type[TrainerContract], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a request in a shared run folder, each with an identifier of its own; settings may be changed."""
    folder = tmp_path_factory.mktemp("storage") / "run"
    numbers = itertools.count()

    def make(*, metric: str | None = None, where: Path | None = None, **settings: Any) -> TrialRequest:
        number = next(numbers)
        return TrialRequest(
            sweep="run",
            trial=f"t{number:04d}",
            number=number,
            task="detect",
            model=contract.model,
            data=str(where or data),
            settings={**contract.settings, **settings},
            asked={"lr0": contract.settings["lr0"]},
            identity=f"{number:016x}",
            metric=metric or contract.metric,
            folder=str(folder),
        )

    return make


@pytest.fixture(scope="class")
def finished(trainer: Trainer, make: Make) -> Done:
    """One undisturbed training, shared by the tests of a class; other ones do not measure the footprint."""
    return run(trainer, make().model_copy(update={"objectives": ("latency_ms", "params_m", "val/loss")}))


class TrainerContract:
    """Subclasses name the model and give settings for a training of at least two epochs that scores above 0."""

    model: ClassVar[str]
    metric: ClassVar[str]
    settings: ClassVar[dict[str, Any]]
    images: ClassVar[dict[str, int]]
    tolerance: ClassVar[float]
    """How far a validated score may lie from the recorded one."""

    def test_without_a_gpu_the_largest_batch_is_the_default(self, trainer: Trainer, make: Make) -> None:
        assert trainer.find_batch(make(batch=-1)) == backend_for(self.model).arguments.defaults["batch"]

    def test_rows_come_in_order_without_a_gap(self, finished: Done) -> None:
        assert [row.epoch for row in finished.rows] == list(range(1, finished.request.epochs + 1))

    def test_every_epoch_is_shown_while_it_is_trained(self, finished: Done) -> None:
        training = [one for one in finished.activities if one.stage is Stage.TRAIN]
        assert list(dict.fromkeys(one.epoch for one in training)) == [row.epoch for row in finished.rows]
        assert {one.trial for one in finished.activities} == {finished.request.trial}
        assert all(0 <= one.done <= one.of and one.of > 0 for one in training)

    def test_rows_tell_score_best_and_time(self, finished: Done) -> None:
        scores = [row.score for row in finished.rows]
        for count, row in enumerate(finished.rows, 1):
            state = progress(scores[:count])
            assert (row.best_score, row.best_epoch) == (state.best_score, state.best_epoch)
            assert row.epochs_without_gain == state.epochs_without_gain
            assert row.metrics[self.metric] == row.score
            assert row.seconds is not None
            assert row.images_per_s is not None
            assert row.memory_mb is not None
            assert any(name.startswith("train/") for name in row.metrics)
            assert "lr/pg0" in row.metrics

    def test_the_record_sums_up_the_rows(self, finished: Done) -> None:
        record, last = finished.record, finished.rows[-1]
        assert (record.ending, record.error) == (Ending.FINISHED, None)
        assert (record.trial, record.number) == (finished.request.trial, finished.request.number)
        assert (record.score, record.best_epoch, record.epochs) == (last.best_score, last.best_epoch, last.epoch)
        assert record.score is not None
        assert record.score > 0
        assert record.seconds > 0
        assert record.host
        assert record.asked == finished.request.asked
        assert record.used["lr0"] == self.settings["lr0"]
        assert record.used["batch"] == self.settings["batch"]
        assert record.used["optimizer"]

    def test_the_footprint_is_measured_where_an_objective_asks_for_it(self, trainer: Trainer, finished: Done) -> None:
        record, best = finished.record, finished.rows[(finished.record.best_epoch or 0) - 1]
        footprint = record.footprint
        assert footprint is not None
        assert footprint.value("latency_ms") > 0  # type: ignore[operator]
        assert footprint.passes >= 5
        assert footprint.size_mb == pytest.approx(record.files["best.pt"].size / 1e6, abs=5e-4)
        assert record.objectives == {
            "latency_ms": footprint.latency_ms, "params_m": footprint.params_m,
            "val/loss": best.metrics.get("val/loss"),
        }  # fmt: skip

    def test_files_are_published_with_their_hash(self, finished: Done) -> None:
        assert finished.record.files.keys() >= FILES
        for name, reference in finished.record.files.items():
            assert reference.path == f"trials/{finished.request.trial}/attempts/a00/{name}"
            assert sha256_of(finished.file(name)) == reference.sha256
            assert finished.file(name).stat().st_size == reference.size > 0

    def test_results_hold_one_line_per_epoch(self, finished: Done) -> None:
        head, *lines = finished.file("results.csv").read_text().splitlines()
        assert self.metric in [name.strip() for name in head.split(",")]
        assert [int(line.split(",")[0]) for line in lines] == [row.epoch for row in finished.rows]

    def test_the_best_checkpoint_scores_what_was_recorded(self, trainer: Trainer, finished: Done) -> None:
        request = finished.request
        found = trainer.validate(
            finished.file("best.pt"),
            task=request.task,
            data=request.data,
            split="val",
            settings=request.settings,
            gpus=0,
        )
        assert found.split == "val"
        assert found.metrics[self.metric] == pytest.approx(finished.record.score, abs=self.tolerance)
        assert found.per_class
        assert found.resampled is not None
        assert 0 < found.resampled.images <= self.images["val"]
        scores = [score for score in found.resampled.scores[self.metric] if score is not None]
        error = statistics.stdev(scores)
        assert error > 0
        assert statistics.mean(scores) == pytest.approx(found.metrics[self.metric], abs=error)

    def test_the_same_request_gives_the_same_scores(self, trainer: Trainer, make: Make, finished: Done) -> None:
        again = run(trainer, make())
        first, second = (
            [row.model_dump(exclude=MEASURED_LIVE) for row in rows] for rows in (finished.rows, again.rows)
        )
        assert first == second

    def test_another_seed_gives_other_rows(self, trainer: Trainer, make: Make, finished: Done) -> None:
        other = run(trainer, make(seed=finished.request.settings["seed"] + 1), [Verdict.CANCEL])
        assert other.rows[0].metrics != finished.rows[0].metrics

    def test_a_pruned_trial_closes_properly(self, trainer: Trainer, make: Make) -> None:
        done = run(trainer, make(), [Verdict.PRUNE])
        assert (done.record.ending, done.record.epochs, len(done.rows)) == (Ending.PRUNED, 1, 1)
        assert done.record.score == done.rows[0].score
        assert done.record.files.keys() >= FILES
        assert sha256_of(done.file("best.pt")) == done.record.files["best.pt"].sha256

    def test_a_cancelled_trial_closes_properly(self, trainer: Trainer, make: Make) -> None:
        done = run(trainer, make(), [Verdict.CANCEL])
        assert (done.record.ending, done.record.epochs, len(done.rows)) == (Ending.CANCELLED, 1, 1)
        assert done.record.files.keys() >= FILES

    def test_cancelling_between_batches_keeps_the_whole_epochs(self, trainer: Trainer, make: Make) -> None:
        done = run(trainer, make(), stop_after=1)
        assert (done.record.ending, done.record.epochs, len(done.rows)) == (Ending.CANCELLED, 1, 1)
        assert done.record.score == done.rows[0].score
        assert done.record.files.keys() >= FILES

    def test_cancelling_before_the_first_epoch_leaves_no_checkpoint(self, trainer: Trainer, make: Make) -> None:
        done = run(trainer, make(), stop_after=0)
        assert (done.record.ending, done.record.epochs, done.record.score) == (Ending.CANCELLED, 0, None)
        assert not {"best.pt", "last.pt"} & done.record.files.keys()

    def test_a_training_goes_on_from_its_checkpoint(self, trainer: Trainer, make: Make, finished: Done) -> None:
        first = run(trainer, make(), [Verdict.CANCEL])
        rest = run(trainer, going_on(first))
        assert rest.record.ending is Ending.FINISHED
        whole, parts = (
            [row.model_dump(exclude=MEASURED_LIVE) for row in rows] for rows in (finished.rows, first.rows + rest.rows)
        )
        assert parts == whole
        about = ("score", "best_epoch", "epochs")
        assert [getattr(rest.record, name) for name in about] == [getattr(finished.record, name) for name in about]
        _, *lines = rest.file("results.csv").read_text().splitlines()
        assert [int(line.split(",")[0]) for line in lines] == [row.epoch for row in finished.rows]

    def test_the_record_of_a_resumed_training_covers_all_its_epochs(self, trainer: Trainer, make: Make) -> None:
        """A process that is resumed knows what the earlier ones measured."""
        first = run(trainer, make(), [Verdict.CANCEL])
        rest = run(trainer, going_on(first), [Verdict.CANCEL])
        rows = first.rows + rest.rows
        seconds = [row.seconds for row in rows if row.seconds is not None]
        assert rest.record.epochs == len(rows) == len(seconds) == 2
        assert rest.record.seconds >= sum(seconds)
        assert rest.record.epoch_seconds == pytest.approx(statistics.median(seconds))
        assert rest.record.images_per_s == pytest.approx(statistics.median(row.images_per_s or 0.0 for row in rows))
        assert rest.record.memory_mb == max(row.memory_mb or 0.0 for row in rows)
        assert rest.record.retries == 1

    def test_a_damaged_checkpoint_is_passed_over(self, trainer: Trainer, make: Make) -> None:
        first = run(trainer, make(), [Verdict.CONTINUE, Verdict.CANCEL])
        folder = RunFolder(first.request.folder)
        folder.resolve(first.checkpoints[-1].state).write_bytes(b"torn")
        rest = run(trainer, going_on(first), [Verdict.CANCEL])
        assert rest.rows[0].epoch == 2
        assert any(first.checkpoints[-1].state.path in note for note in rest.record.notes)

        for checkpoint in first.checkpoints:
            folder.resolve(checkpoint.state).write_bytes(b"torn")
        over_again = run(trainer, going_on(first), [Verdict.CANCEL])
        assert over_again.rows[0].model_dump(exclude=MEASURED_LIVE) == first.rows[0].model_dump(exclude=MEASURED_LIVE)
        assert over_again.record.notes

    def test_a_training_stopped_in_its_last_epoch_is_over(self, trainer: Trainer, make: Make) -> None:
        first = run(trainer, make(epochs=1), [Verdict.CANCEL])
        rest = run(trainer, going_on(first))
        assert (rest.record.ending, rest.record.epochs, rest.rows) == (Ending.FINISHED, 1, [])
        assert rest.record.files.keys() >= FILES

    def test_missing_data_become_a_failed_record(self, trainer: Trainer, make: Make, tmp_path: Path) -> None:
        trainer.prepare(make(where=tmp_path / "gone.yaml"))  # leaves it to the training
        done = run(trainer, make(where=tmp_path / "gone.yaml"))
        assert (done.record.ending, done.record.epochs, done.record.score) == (Ending.FAILED, 0, None)
        assert done.record.error is not None
        assert "gone.yaml" in done.record.error
        assert done.record.reason

    def test_an_unknown_metric_becomes_a_failed_record(self, trainer: Trainer, make: Make) -> None:
        done = run(trainer, make(metric="metrics/beauty"))
        assert done.record.ending is Ending.FAILED
        assert "metrics/beauty" in (done.record.error or "")

    def test_a_report_that_raises_becomes_a_failed_record(self, trainer: Trainer, make: Make) -> None:
        def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
            raise RunFolderError("the disk is full")

        record = trainer.train(make(), report, lambda: False)
        assert (record.ending, record.error) == (Ending.FAILED, "the disk is full")

    def test_only_the_run_folder_is_written(
        self, trainer: Trainer, make: Make, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        before = snapshot(data.parent)
        trainer.prepare(make())
        done = run(trainer, make(epochs=1))
        assert done.record.ending is Ending.FINISHED
        assert list(tmp_path.iterdir()) == []
        assert snapshot(data.parent) == before

    def test_validating_a_broken_file_is_a_training_error(self, trainer: Trainer, data: Path, tmp_path: Path) -> None:
        broken = tmp_path / "best.pt"
        broken.write_bytes(b"\x00not a checkpoint")
        with pytest.raises(TrainingError, match=r"best\.pt"):
            trainer.validate(broken, task="detect", data=str(data), split="val", settings=self.settings, gpus=0)

    def test_validating_on_missing_data_is_a_training_error(
        self, trainer: Trainer, finished: Done, tmp_path: Path
    ) -> None:
        with pytest.raises(TrainingError, match=r"gone\.yaml"):
            trainer.validate(
                finished.file("best.pt"),
                task="detect",
                data=str(tmp_path / "gone.yaml"),
                split="val",
                settings=self.settings,
                gpus=0,
            )


class TestToy(TrainerContract):
    model = "toy/red"
    metric = "metrics/accuracy_top1"
    settings: ClassVar[dict[str, Any]] = {"epochs": 3, "batch": 8, "lr0": 0.1, "seed": 0}
    images: ClassVar[dict[str, int]] = {"train": 12, "val": 8}
    tolerance = 0.0


@pytest.mark.slow
class TestYolo(TrainerContract):
    model = MICRO
    metric = "metrics/mAP50-95(B)"
    images: ClassVar[dict[str, int]] = {"train": 64, "val": 12}
    settings: ClassVar[dict[str, Any]] = {
        "epochs": 6, "imgsz": 96, "batch": 4, "nbs": 4, "optimizer": "AdamW", "lr0": 0.005, "seed": 0,
        "warmup_epochs": 1, "close_mosaic": 0, "mosaic": 0.0, "amp": False, "plots": False, "verbose": False,
    }  # fmt: skip
    tolerance = 1e-3

    def test_what_was_trained_without_a_gpu_is_scored_without_one(
        self, trainer: Trainer, finished: Done, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The GPU is only claimed to be there, so that whoever reaches for it falls."""
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        request = finished.request
        scored = functools.partial(
            trainer.validate,
            finished.file("best.pt"),
            task=request.task,
            data=request.data,
            split="val",
            settings=request.settings,
        )
        found = scored(gpus=0)
        assert found.metrics[self.metric] == pytest.approx(finished.record.score, abs=self.tolerance)
        with pytest.raises(TrainingError, match="cannot validate"):
            scored(gpus=1)
