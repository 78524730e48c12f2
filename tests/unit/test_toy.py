"""The toy trainer beyond the contract: its arithmetic, its honesty, the layouts it reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from yolosweep.data.sample import draw_parking
from yolosweep.errors import TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, Ending, EpochRow, TrialRecord, TrialRequest, Verdict
from yolosweep.training.toy import ToyTrainer
from yolosweep.training.toy_data import read_crops
from yolosweep.training.toy_model import Descent, RedModel, load_checkpoint, mean_squared_error

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


def train(request: TrialRequest) -> tuple[TrialRecord, list[EpochRow]]:
    rows: list[EpochRow] = []

    def report(row: EpochRow, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        return Verdict.GO_ON

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
        assert (record.ending, record.files, len(rows)) == (Ending.FAILED, {}, 5)
        assert record.error

    def test_neither_torch_nor_ultralytics_is_imported(self) -> None:
        code = "import sys, yolosweep.training.toy; print(sorted({'torch', 'ultralytics', 'ray'} & set(sys.modules)))"
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
        assert (record.ending, rows) == (Ending.FAILED, [])

    def test_crops_of_one_kind_are_refused(self, tmp_path: Path) -> None:
        for split in ("train", "val"):
            paint(tmp_path / split / "red" / "0.png", (200, 0, 0))
            (tmp_path / split / "blue").mkdir()
        record, _ = train(request_for(tmp_path, tmp_path / "run"))
        assert record.ending is Ending.FAILED
        assert "of one kind" in record.reason
