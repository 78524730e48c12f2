"""The toy trainer beyond the contract: its arithmetic, its honesty, the layouts it reads."""

from __future__ import annotations

import csv
import errno
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML

from yolosweep.backends.toy.crops import read_crops
from yolosweep.backends.toy.model import Descent, RedModel, load_checkpoint, load_state, mean_squared_error
from yolosweep.backends.toy.trainer import ToyTrainer
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.errors import RunFolderError, TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import Cause, Checkpoint, Ending, EpochResult, TrialPolicy, TrialRecord, TrialRequest, Verdict
from yolosweep.storage.atomic_files import sha256_of

ACCURACY = "metrics/accuracy_top1"


@pytest.fixture(scope="module")
def parking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_parking(tmp_path_factory.mktemp("toy") / "parking", images={"train": 40, "val": 20}, size=64)


def request_for(data: Path, folder: Path, **settings: Any) -> TrialRequest:
    return TrialRequest(
        sweep="s",
        trial="t0000",
        number=0,
        task="detect",
        model="toy/red",
        data=str(data),
        settings={"epochs": 5, "seed": 0, **settings},
        asked={},
        identity="x",
        metric=ACCURACY,
        folder=str(folder),
    )


def train(request: TrialRequest) -> tuple[TrialRecord, list[EpochResult]]:
    rows: list[EpochResult] = []

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        return Verdict.CONTINUE

    return ToyTrainer().train(request, report, lambda: False), rows


def paint(file: Path, *colours: tuple[int, int, int]) -> None:
    """Save a picture of equal upright stripes, ten pixels wide each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.repeat(np.array(colours, dtype=np.uint8)[None], 20, axis=0).repeat(10, axis=1)
    Image.fromarray(pixels).save(file)


class TestWorkedNumbers:
    """The course's example: w = 0.06, b = -14.0; a red car of mean red 247, another car of mean red 212."""

    model = RedModel(w=0.06, b=-14.0)
    means = np.array([247.0, 212.0])
    wanted = np.array([1.0, 0.0])

    def test_outputs(self) -> None:
        assert self.model.w * self.means + self.model.b == pytest.approx([0.82, -1.28], abs=5e-3)
        assert self.model.predict(self.means) == pytest.approx([0.694, 0.218], abs=5e-4)

    def test_squared_errors(self) -> None:
        errors = (self.model.predict(self.means) - self.wanted) ** 2
        assert errors == pytest.approx([0.0935, 0.0473], abs=5e-5)

    def test_mean_squared_error(self) -> None:
        assert mean_squared_error(self.model.predict(self.means), self.wanted) == pytest.approx(0.0704, abs=5e-5)

    def test_far_values_do_not_overflow(self) -> None:
        assert RedModel(w=1e300, b=0).predict(np.array([-255.0, 0.0, 255.0])).tolist() == [0.0, 0.5, 1.0]


class TestDescent:
    @pytest.mark.slow
    def test_a_step_follows_the_measured_slope_of_the_loss(self, parking: Path) -> None:
        """One step over the whole split lowers the loss as much as the numeric gradient says it must."""
        crops = read_crops(str(parking), "train")
        descent = Descent(crops, batch=len(crops), lr0=1e-3, weight_decay=0.0, seed=0)
        spread = descent.normalisation()["std"]
        middle = descent.normalisation()["mean"]

        def loss(inner_w: float, inner_b: float) -> float:
            model = RedModel(w=inner_w / spread, b=inner_b - inner_w / spread * middle)
            return mean_squared_error(model.predict(crops.mean_red), crops.is_red)

        before = descent.model()
        w, b = before.w * spread, before.b + before.w * middle
        slope = [
            (loss(w + 1e-5, b) - loss(w - 1e-5, b)) / 2e-5,
            (loss(w, b + 1e-5) - loss(w, b - 1e-5)) / 2e-5,
        ]
        list(descent.epoch(1))
        after = descent.model()
        moved = [after.w * spread - w, after.b + after.w * middle - b]
        assert moved == pytest.approx([-1e-3 * value for value in slope], rel=1e-4)

    def test_weight_decay_pulls_w_towards_zero(self, parking: Path) -> None:
        ends = []
        for decay in (0.0, 0.1):
            descent = Descent(read_crops(str(parking), "train"), batch=8, lr0=0.5, weight_decay=decay, seed=0)
            for epoch in range(1, 6):
                list(descent.epoch(epoch))
            ends.append(descent.model().w)
        assert 0 < ends[1] < ends[0]

    def test_all_crops_are_seen_once_per_epoch(self, parking: Path) -> None:
        crops = read_crops(str(parking), "train")
        descent = Descent(crops, batch=7, lr0=0.0, weight_decay=0.0, seed=0)
        expected = mean_squared_error(descent.model().predict(crops.mean_red), crops.is_red)
        errors = list(descent.epoch(1))
        assert len(errors) == -(-len(crops) // 7)
        assert sum(errors) / len(crops) == pytest.approx(expected)

    def test_every_epoch_has_an_order_of_its_own_that_can_be_repeated(self, parking: Path) -> None:
        crops = read_crops(str(parking), "train")

        def errors(epoch: int) -> list[float]:
            return list(Descent(crops, batch=1, lr0=0.0, weight_decay=0.0, seed=0).epoch(epoch))

        assert errors(1) == errors(1)
        assert errors(1) != errors(2)
        assert sorted(errors(1)) == sorted(errors(2))


class TestHonesty:
    def test_a_fair_learning_rate_learns(self, parking: Path, tmp_path: Path) -> None:
        crops = read_crops(str(parking), "val")
        guess = max(float(crops.is_red.mean()), 1 - float(crops.is_red.mean()))
        for seed in range(3):
            record, rows = train(request_for(parking, tmp_path, lr0=0.3, epochs=8, seed=seed))
            assert record.score is not None
            assert record.score > guess + 0.05
            losses = [row.metrics["train/loss"] for row in rows]
            assert losses[-1] is not None
            assert losses[0] is not None
            assert losses[-1] < losses[0]

    def test_a_tiny_learning_rate_learns_nothing(self, parking: Path, tmp_path: Path) -> None:
        _, rows = train(request_for(parking, tmp_path, lr0=1e-7))
        assert rows[-1].metrics["val/loss"] == pytest.approx(rows[0].metrics["val/loss"], abs=1e-5)
        assert rows[-1].metrics["val/loss"] == pytest.approx(0.25, abs=0.02)

    def test_a_huge_learning_rate_diverges(self, parking: Path, tmp_path: Path) -> None:
        record, rows = train(request_for(parking, tmp_path, lr0=1e8, weight_decay=0.1, epochs=20))
        assert record.ending is Ending.DIVERGED
        assert record.epochs == len(rows) < 20
        assert "not finite" in (record.error or "")
        assert "lower lr0" in record.reason
        json.dumps(record.model_dump(mode="json"), allow_nan=False)

    def test_divergence_in_the_first_epoch_leaves_no_checkpoint(self, parking: Path, tmp_path: Path) -> None:
        record, rows = train(request_for(parking, tmp_path, lr0=1e30, weight_decay=1.0, batch=1))
        assert (record.ending, record.score, rows) == (Ending.DIVERGED, None, [])
        assert record.files.keys() == {"args.yaml"}

    def test_patience_ends_as_in_ultralytics(self, parking: Path, tmp_path: Path) -> None:
        """Scores that never move: the first epoch is the best, and two epochs without gain end it after the third."""
        record, rows = train(request_for(parking, tmp_path, lr0=1e-12, epochs=9, patience=2))
        assert (record.ending, record.epochs, record.best_epoch) == (Ending.PATIENCE, 3, 1)
        assert rows[-1].epochs_without_gain == 2
        assert record.reason == "no gain for 2 epochs after epoch 1"

    def test_patience_zero_is_off(self, parking: Path, tmp_path: Path) -> None:
        record, _ = train(request_for(parking, tmp_path, lr0=1e-12, epochs=4, patience=0))
        assert (record.ending, record.epochs) == (Ending.FINISHED, 4)

    def test_a_loss_can_be_the_metric(self, parking: Path, tmp_path: Path) -> None:
        request = request_for(parking, tmp_path, lr0=0.1).model_copy(update={"metric": "val/loss", "mode": "min"})
        record, rows = train(request)
        assert record.score == min(row.metrics["val/loss"] or 1 for row in rows)

    def test_defaults_are_those_of_ultralytics(self, parking: Path, tmp_path: Path) -> None:
        record, rows = train(request_for(parking, tmp_path))
        written = YAML(typ="safe").load(RunFolder(tmp_path).resolve(record.files["args.yaml"]))
        assert {name: written[name] for name in ("batch", "lr0", "weight_decay", "patience")} == {
            "batch": 16,
            "lr0": 0.01,
            "weight_decay": 0.0005,
            "patience": 100,
        }
        assert record.used == {"batch": 16, "optimizer": "SGD"}
        assert rows[0].metrics["lr/pg0"] == 0.01

    def test_an_unwritable_run_folder_is_a_failed_record(self, parking: Path, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("a file where the folder should be")
        record, rows = train(request_for(parking, tmp_path / "run"))
        assert (record.ending, record.files, rows) == (Ending.FAILED, {}, [])
        assert record.error

    @pytest.mark.slow
    def test_neither_torch_nor_ultralytics_is_imported(self) -> None:
        code = (
            "import sys, yolosweep.backends.toy.trainer\n"
            "print(sorted({'torch', 'ultralytics', 'ray'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestCheckpoint:
    def test_it_is_text_with_the_parameters_in_raw_units(self, parking: Path, tmp_path: Path) -> None:
        record, rows = train(request_for(parking, tmp_path, lr0=0.3))
        best = RunFolder(tmp_path).resolve(record.files["best.pt"])
        content = json.loads(best.read_text())
        assert content["epoch"] == record.best_epoch
        assert content["settings"] == {"epochs": 5, "seed": 0, "lr0": 0.3}
        model = load_checkpoint(best)
        assert (model.w, model.b) == (content["w"], content["b"])
        crops = read_crops(str(parking), "val")
        right = (model.w * crops.mean_red + model.b > 0) == (crops.is_red == 1)
        assert float(right.mean()) == record.score
        assert len(rows) == 5

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"format": "toy/red 9", "w": 1, "b": 2}', '{"format": "toy/red 1"}']
    )
    def test_other_files_are_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "best.pt").write_text(text)
        with pytest.raises(TrainingError, match="is not a checkpoint of toy/red"):
            load_checkpoint(tmp_path / "best.pt")


class TestReading:
    def test_a_box_is_one_crop(self, tmp_path: Path) -> None:
        paint(tmp_path / "images/train/a.png", (200, 0, 0), (10, 90, 0), (60, 0, 0))
        label = tmp_path / "labels/train/a.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.1666667 0.5 0.3333333 1\n1 0.5 0.5 0.3333333 0.5\n\n")
        paint(tmp_path / "images/train/b.png", (255, 255, 255))
        (tmp_path / "data.yaml").write_text("train: images/train\nnames: {0: red_car, 1: car}\n")
        crops = read_crops(str(tmp_path / "data.yaml"), "train")
        assert crops.mean_red.tolist() == [200.0, 10.0]
        assert crops.is_red.tolist() == [1.0, 0.0]
        assert crops.positive == "red_car"

    def test_a_resolved_view_reads_as_its_source(self, parking: Path, tmp_path: Path) -> None:
        """The platform hands over absolute folders in lists and class numbers as text."""
        view = {"train": [str(parking.parent / "images/train")], "names": {"0": "red_car", "1": "car"}, "nc": 2}
        (tmp_path / "data.yaml").write_text(json.dumps(view))
        there, here = read_crops(str(parking), "train"), read_crops(str(tmp_path / "data.yaml"), "train")
        assert here.mean_red.tolist() == there.mean_red.tolist()
        assert here.is_red.tolist() == there.is_red.tolist()

    def test_a_list_of_images_is_read(self, parking: Path, tmp_path: Path) -> None:
        image = parking.parent / "images/train/train_0000.jpg"
        (tmp_path / "train.txt").write_text(f"{image}\n")
        (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [red_car, car]\n")
        lines = (parking.parent / "labels/train/train_0000.txt").read_text().splitlines()
        assert len(read_crops(str(tmp_path / "data.yaml"), "train")) == len(lines)

    def test_class_folders_are_read_and_learned(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            for index in range(8):
                paint(tmp_path / split / "red" / f"{index}.png", (180 + 8 * index, 20, 20))
                paint(tmp_path / split / "blue" / f"{index}.png", (20 + 8 * index, 20, 180))
        crops = read_crops(str(tmp_path), "train")
        assert crops.positive == "red"
        assert sorted(crops.mean_red[crops.is_red == 1]) == [180.0 + 8 * index for index in range(8)]
        request = request_for(tmp_path, tmp_path / "run", lr0=1.0, batch=4, epochs=10)
        record, _ = train(request.model_copy(update={"task": "classify"}))
        assert (record.ending, record.score) == (Ending.FINISHED, 1.0)

    def test_without_red_the_first_name_counts(self, tmp_path: Path) -> None:
        for name in ("zebra", "ant"):
            paint(tmp_path / "train" / name / "0.png", (9, 9, 9))
        assert read_crops(str(tmp_path), "train").positive == "ant"

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda root: shutil.rmtree(root / "images/train"), "there is no folder"),
            (lambda root: shutil.rmtree(root / "labels/train"), "no crops in train"),
            (
                lambda root: (root / "images/train/train_0000.jpg").write_bytes(b"no picture"),
                "cannot read .*train_0000",
            ),
            (lambda root: (root / "labels/train/train_0000.txt").write_text("5 .5 .5 .1 .1"), "not a label"),
            (lambda root: (root / "labels/train/train_0000.txt").write_text("0 .5 .5"), "not a label"),
            (lambda root: (root / "data.yaml").write_text("names: [a, b]"), "has no train:"),
            (lambda root: (root / "data.yaml").write_text("train: x"), "names no classes"),
            (lambda root: (root / "data.yaml").write_text("a: [b"), "cannot read .*data.yaml"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, damage: Any, message: str) -> None:
        draw_parking(tmp_path / "lot", images={"train": 3, "val": 2}, size=32, empty_share=0)
        damage(tmp_path / "lot")
        with pytest.raises(TrainingError, match=message):
            read_crops(str(tmp_path / "lot/data.yaml"), "train")
        record, rows = train(request_for(tmp_path / "lot/data.yaml", tmp_path / "run"))
        assert (record.ending, record.cause, rows) == (Ending.FAILED, Cause.DATA, [])

    def test_crops_of_one_kind_are_refused(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            paint(tmp_path / split / "red" / "0.png", (200, 0, 0))
            (tmp_path / split / "blue").mkdir()
        record, _ = train(request_for(tmp_path, tmp_path / "run"))
        assert (record.ending, record.cause) == (Ending.FAILED, Cause.DATA)
        assert "of one kind" in record.reason


class Killed(BaseException):
    """No ``except Exception`` holds it, as none holds a SIGKILL."""


@dataclass
class Counter:
    """Stands where the controller stands: acknowledges rows with their checkpoints, and hands a dead one out again."""

    request: TrialRequest
    rows: list[EpochResult] = field(default_factory=list)
    stored: list[Checkpoint] = field(default_factory=list)
    attempt: int = 0

    def run(self, *, die: tuple[str, int] | None = None, verdict: Verdict = Verdict.CONTINUE) -> TrialRecord | None:
        """Train as far as it goes; None where it died: ``before`` or ``after`` a row is acknowledged, or ``within``
        the epoch that follows. The last row of ``die`` is told ``verdict``.
        """
        where, epoch = die or ("never", 0)

        def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
            if where == "before" and row.epoch == epoch:
                raise Killed
            assert row.epoch == len(self.rows) + 1
            self.rows.append(row)
            if checkpoint is not None:
                self.stored.append(checkpoint)
            if where == "after" and row.epoch == epoch:
                raise Killed
            return verdict if row.epoch == epoch else Verdict.CONTINUE

        def cancelled() -> bool:
            if where == "within" and len(self.rows) == epoch:
                raise Killed
            return False

        newest_first = tuple(reversed(self.stored[-self.request.policy.keep_checkpoints :]))
        again = self.request.model_copy(update={"attempt": self.attempt, "resume": newest_first})
        try:
            return ToyTrainer().train(again, report, cancelled)
        except Killed:
            self.attempt += 1
            self.cut(self.stored[-1].epoch if self.stored else 0)
            return None

    def cut(self, epoch: int) -> None:
        del self.rows[epoch:]
        self.stored = [checkpoint for checkpoint in self.stored if checkpoint.epoch <= epoch]

    def on_disk(self) -> set[str]:
        folder = RunFolder(self.request.folder).checkpoint(self.request.trial, "x").parent
        return {file.name for file in folder.iterdir()}

    def outcome(self, record: TrialRecord) -> dict[str, Any]:
        """Return everything that must not hang on how often it died."""
        live = {"seconds", "images_per_s", "memory_mb"}
        left = {name: RunFolder(self.request.folder).resolve(file) for name, file in record.files.items()}
        table = list(csv.reader(left["results.csv"].read_text().splitlines()))
        return {
            "ending": (record.ending, record.reason, record.score, record.best_epoch, record.epochs, record.used),
            "rows": [row.model_dump(exclude=live) for row in self.rows],
            "best.pt": left["best.pt"].read_bytes(),
            "last.pt": left["last.pt"].read_bytes(),
            "results.csv": [[line[0], *line[2:]] for line in table],
            "weights": load_state(RunFolder(self.request.folder).resolve(self.stored[-1].state)).weights,
        }


def counter_for(data: Path, folder: Path, policy: TrialPolicy | None = None, **settings: Any) -> Counter:
    learning = {"lr0": 0.3, "batch": 4, "epochs": 8, **settings}
    return Counter(request_for(data, folder, **learning).model_copy(update={"policy": policy or TrialPolicy()}))


class TestGoingOn:
    """A training that died and went on equals one that never stopped, to the bit."""

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        deaths=st.lists(st.tuples(st.sampled_from(["before", "after", "within"]), st.integers(1, 8)), max_size=4),
        every=st.integers(1, 4),
        keep=st.integers(1, 3),
        patience=st.sampled_from([0, 2]),
        seed=st.integers(0, 3),
    )
    @pytest.mark.slow
    def test_any_deaths_leave_no_trace(
        self,
        parking: Path,
        tmp_path_factory: pytest.TempPathFactory,
        deaths: list[tuple[str, int]],
        every: int,
        keep: int,
        patience: int,
        seed: int,
    ) -> None:
        tmp_path, policy = tmp_path_factory.mktemp("runs"), TrialPolicy(checkpoint_every=every, keep_checkpoints=keep)
        undisturbed = counter_for(parking, tmp_path / "a", patience=patience, seed=seed)
        disturbed = counter_for(parking, tmp_path / "b", policy, patience=patience, seed=seed)
        first, second = undisturbed.run(), None
        for death in [*deaths, None]:
            second = disturbed.run(die=death) if second is None else second
        assert first is not None
        assert second is not None
        assert disturbed.outcome(second) == undisturbed.outcome(first)
        assert second.notes == ()
        kept = disturbed.stored[-keep:]
        files = [file for checkpoint in kept for file in (checkpoint.state, checkpoint.best) if file is not None]
        assert disturbed.on_disk() == {Path(file.path).name for file in files}
        assert all(sha256_of(RunFolder(tmp_path / "b").resolve(file)) == file.sha256 for file in files)

    @pytest.mark.slow
    def test_a_killed_process_goes_on_after_its_last_acknowledged_epoch(self, parking: Path, tmp_path: Path) -> None:
        code = """if True:
            import os, signal, sys
            from yolosweep.records import TrialRequest, Verdict
            from yolosweep.backends.toy.trainer import ToyTrainer

            def report(row, checkpoint):
                print(row.model_dump_json(), checkpoint.model_dump_json(), sep="\\n", flush=True)
                if row.epoch == 5:
                    os.kill(os.getpid(), signal.SIGKILL)
                return Verdict.CONTINUE

            ToyTrainer().train(TrialRequest.model_validate_json(sys.argv[1]), report, lambda: False)
            """
        counter, whole = (counter_for(parking, tmp_path / name) for name in ("killed", "whole"))
        command = [sys.executable, "-c", code, counter.request.model_dump_json()]
        died = subprocess.run(command, capture_output=True, text=True, env={"TMPDIR": str(tmp_path)})
        assert died.returncode == -signal.SIGKILL, died.stderr
        told = died.stdout.splitlines()
        counter.rows = [EpochResult.model_validate_json(line) for line in told[::2]]
        counter.stored = [Checkpoint.model_validate_json(line) for line in told[1::2]]
        counter.attempt = 1
        assert len(counter.rows) == 5
        spent = load_state(RunFolder(tmp_path / "killed").resolve(counter.stored[-1].state)).seconds
        first, second = whole.run(), counter.run()
        assert first is not None
        assert second is not None
        assert counter.outcome(second) == whole.outcome(first)
        assert second.retries == 1
        assert second.seconds > spent > 0

    def test_a_cancelled_training_goes_on(self, parking: Path, tmp_path: Path) -> None:
        whole, counter = (counter_for(parking, tmp_path / name) for name in ("whole", "stopped"))
        first, stopped = whole.run(), counter.run(die=("told", 3), verdict=Verdict.CANCEL)
        assert first is not None
        assert stopped is not None
        assert (stopped.ending, stopped.cause, len(counter.rows)) == (Ending.CANCELLED, None, 3)
        counter.attempt = 1
        second = counter.run()
        assert second is not None
        assert counter.outcome(second) == whole.outcome(first)

    @pytest.mark.parametrize("part", ["state", "best"])
    @pytest.mark.parametrize("how", ["torn", "altered", "gone"])
    def test_a_damaged_checkpoint_gives_way_to_the_one_before(
        self, parking: Path, tmp_path: Path, part: str, how: str
    ) -> None:
        whole, counter = (counter_for(parking, tmp_path / name) for name in ("whole", "damaged"))
        first = whole.run()
        assert first is not None
        gains = [row.epoch for row in whole.rows if row.best_epoch == row.epoch]
        epoch = gains[-1]
        assert epoch > 1
        counter.run(die=("after", epoch))
        newest = counter.stored[-1]
        reference = newest.state if part == "state" else newest.best
        assert reference is not None
        damage(RunFolder(tmp_path / "damaged").resolve(reference), how)
        rows = list(counter.rows)
        counter.rows = rows[: epoch - 1]
        second = counter.run()
        assert second is not None
        (note,) = second.notes
        assert reference.path in note
        assert f"checkpoint of epoch {epoch} skipped" in note
        counter.stored.remove(newest)
        assert counter.outcome(second) == whole.outcome(first)

    def test_it_starts_over_where_all_are_damaged(self, parking: Path, tmp_path: Path) -> None:
        whole, counter = (counter_for(parking, tmp_path / name) for name in ("whole", "damaged"))
        first = whole.run()
        counter.run(die=("after", 5))
        for checkpoint in counter.stored[-2:]:
            damage(RunFolder(tmp_path / "damaged").resolve(checkpoint.state), "torn")
        counter.rows = []
        second = counter.run()
        assert first is not None
        assert second is not None
        assert [note.split(" skipped")[0] for note in second.notes[:2]] == [
            "checkpoint of epoch 5",
            "checkpoint of epoch 4",
        ]
        assert second.notes[2] == "no intact checkpoint is left: restarted from the first epoch"
        assert counter.outcome(second) == whole.outcome(first)

    def test_what_was_noted_stays_noted(self, parking: Path, tmp_path: Path) -> None:
        counter = counter_for(parking, tmp_path)
        counter.run(die=("after", 4))
        damage(RunFolder(tmp_path).resolve(counter.stored[-1].state), "altered")
        del counter.rows[3:]
        counter.run(die=("after", 6))
        record = counter.run()
        assert record is not None
        (note,) = record.notes
        assert "checkpoint of epoch 4 skipped" in note

    def test_an_attempt_that_was_replaced_deletes_nothing_of_its_successor(self, parking: Path, tmp_path: Path) -> None:
        """Taken for dead at its third row and told to stop: what its successor goes on from is still there."""
        counter = counter_for(parking, tmp_path, TrialPolicy(keep_checkpoints=1))
        counter.run(die=("after", 2))
        zombie = Counter(counter.request, list(counter.rows), list(counter.stored))
        assert counter.run(die=("after", 5)) is None
        newest = counter.stored[-1]  # older ones may still be deleted beside the training that died
        needed = {Path(file.path).name for file in (newest.state, newest.best) if file is not None}
        zombie.run(die=("told", 3), verdict=Verdict.CANCEL)
        assert needed <= counter.on_disk()
        record = counter.run()
        assert record is not None
        assert record.notes == ()

    @pytest.mark.slow
    def test_a_training_that_had_reached_its_end_only_closes(self, parking: Path, tmp_path: Path) -> None:
        for name, more in (("all", {}), ("patience", {"lr0": 1e-12, "patience": 2})):
            counter, whole = (counter_for(parking, tmp_path / f"{name}{i}", **more) for i in range(2))
            first = whole.run()
            assert first is not None
            counter.run(die=("after", first.epochs))
            rows = list(counter.rows)
            second = counter.run()
            assert second is not None
            assert counter.rows == rows
            assert counter.outcome(second) == whole.outcome(first)

    def test_checkpoints_come_as_often_as_asked_and_after_the_last_epoch(self, parking: Path, tmp_path: Path) -> None:
        each = list(range(1, 9))
        for every, expected in ((1, each), (3, [3, 6, 8]), ("10m", [8]), (1e-9, each)):
            counter = counter_for(
                parking, tmp_path / str(every), TrialPolicy.model_validate({"checkpoint_every": every})
            )
            counter.run()
            assert [checkpoint.epoch for checkpoint in counter.stored] == expected

    def test_a_request_to_stop_in_the_last_batch_of_an_epoch_stores_it(self, parking: Path, tmp_path: Path) -> None:
        stored, asked = list[Checkpoint | None](), list[int]()
        batches = -(-len(read_crops(str(parking), "train")) // 4)

        def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
            stored.append(checkpoint)
            return Verdict.CANCEL

        def cancelled() -> bool:
            asked.append(1)
            return len(asked) > batches

        counter = counter_for(parking, tmp_path, TrialPolicy(checkpoint_every=5))
        record = ToyTrainer().train(counter.request, report, cancelled)
        assert record.ending is Ending.CANCELLED
        assert [checkpoint.epoch for checkpoint in stored if checkpoint] == [1]


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "torn":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


class TestCauses:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.ESTALE])
    def test_storage_in_trouble_is_not_the_trials_fault(self, parking: Path, tmp_path: Path, code: int) -> None:
        error = OSError(code, "no")
        assert self.raising(parking, tmp_path, error).cause is Cause.STORAGE

    def test_a_ledger_that_cannot_be_written_is_storage(self, parking: Path, tmp_path: Path) -> None:
        assert self.raising(parking, tmp_path, RunFolderError("cannot write")).cause is Cause.STORAGE

    def test_the_rest_is_unknown(self, parking: Path, tmp_path: Path) -> None:
        for error in (RuntimeError("x"), OSError(errno.ENOENT, "x")):
            assert self.raising(parking, tmp_path, error).cause is Cause.UNKNOWN

    @staticmethod
    def raising(parking: Path, folder: Path, error: Exception) -> TrialRecord:
        def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
            raise error

        record = ToyTrainer().train(request_for(parking, folder), report, lambda: False)
        assert record.ending is Ending.FAILED
        return record

    def test_a_full_run_folder_is_storage(self, parking: Path, tmp_path: Path) -> None:
        small = tmp_path / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(small)], capture_output=True)
        if mounted.returncode:
            pytest.skip("a small file system cannot be mounted here (needs root)")
        try:
            record, rows = train(request_for(parking, small, epochs=400))
            assert (record.ending, record.cause) == (Ending.FAILED, Cause.STORAGE)
            assert "No space left on device" in (record.error or "")
            assert 0 < len(rows) < 400
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_an_unknown_metric_is_config(self, parking: Path, tmp_path: Path) -> None:
        record, _ = train(request_for(parking, tmp_path).model_copy(update={"metric": "beauty"}))
        assert record.cause is Cause.CONFIG

    def test_endings_of_its_own_have_no_cause(self, parking: Path, tmp_path: Path) -> None:
        finished, rows = train(request_for(parking, tmp_path / "a"))
        diverged, _ = train(request_for(parking, tmp_path / "b", lr0=1e8, weight_decay=0.1, epochs=20))
        assert (finished.cause, diverged.cause) == (None, None)
        assert finished.epoch_seconds == sorted(row.seconds or 0 for row in rows)[2]
        assert finished.images_per_s == sorted(row.images_per_s or 0 for row in rows)[2]
        assert finished.memory_mb == max(row.memory_mb or 0 for row in rows)
        assert (finished.world_size, finished.threads, finished.gpu_memory_mb, finished.recoveries) == (
            1,
            None,
            None,
            0,
        )

    def test_idle_ranks_are_told(self, parking: Path, tmp_path: Path) -> None:
        record, _ = train(request_for(parking, tmp_path).model_copy(update={"world_size": 3}))
        assert (record.world_size, record.notes) == (1, ("toy/red trains in one process: 2 of its ranks were idle",))
