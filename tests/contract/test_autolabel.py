"""Labels by machine with real models: a detector trained here, and SAM as Ultralytics builds and loads it.

SAM's weights are random: there is no reaching the hubs from a test. They are built from MobileSAM's own configuration
and saved as its loader wants them, so the whole path from file to polygon is real; only the shapes mean nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tools.micro_model import MICRO
from typer.testing import CliRunner

from yolosweep.autolabel.agreement import HumanLabel
from yolosweep.autolabel.annotators import Annotator
from yolosweep.autolabel.labelling import autolabel
from yolosweep.backends import trainer_for
from yolosweep.cli.app import app
from yolosweep.data import examine
from yolosweep.errors import TrainingError
from yolosweep.records import TrialRequest, Verdict
from yolosweep.storage.atomic_files import sha256_of

pytestmark = pytest.mark.slow

TINY = Path(__file__).resolve().parents[2] / "../shared/data/bccd_tiny"
NAMES = {0: "RBC", 1: "WBC", 2: "Platelets"}
CONF = 0.1


class Runs:
    """A pickle that leaves a file where it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not TINY.is_dir():
        pytest.skip(f"{TINY} is not there")
    return Path(shutil.copytree(TINY, tmp_path_factory.mktemp("data") / "bccd"))


@pytest.fixture(scope="module")
def detector(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``best.pt`` of a short training from scratch."""
    folder = tmp_path_factory.mktemp("storage") / "run"
    settings = {
        "epochs": 16, "imgsz": 96, "batch": 4, "nbs": 4, "optimizer": "AdamW", "lr0": 0.005, "seed": 0, "mosaic": 0.0,
        "warmup_epochs": 1.0, "amp": False, "plots": False,
    }  # fmt: skip
    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="detect", model=MICRO, data=str(data / "data.yaml"),
        settings=settings, asked={}, identity="0" * 16, metric="metrics/mAP50(B)", folder=str(folder),
    )  # fmt: skip
    record = trainer_for(MICRO).train(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    assert record.score is not None, record.error
    assert record.score > 0.05
    return folder / record.files["best.pt"].path


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileSAM with random weights, the smallest there is; made sure of itself, or it gives no mask."""
    import torch
    from ultralytics.models.sam.build import build_mobile_sam

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("sam") / "mobile_sam.pt"
    model = build_mobile_sam()
    with torch.no_grad():
        model.mask_decoder.iou_prediction_head.layers[-1].bias += 1
    torch.save(model.state_dict(), file)
    return file


def images_of(data: Path, split: str = "train") -> list[Path]:
    return sorted((data / "images" / split).glob("*.jpg"))


def people(data: Path, split: str) -> dict[Path, list[HumanLabel]]:
    """Return what the data set's own labels say."""
    found = {}
    for image in images_of(data, split):
        lines = (data / "labels" / split / f"{image.stem}.txt").read_text().splitlines()
        numbers = [[float(value) for value in line.split()] for line in lines]
        found[image] = [HumanLabel(int(row[0]), (row[1], row[2], row[3], row[4])) for row in numbers]
    return found


def test_a_trained_detector_finds_what_people_drew(detector: Path, data: Path, tmp_path: Path) -> None:
    images = images_of(data, "val")
    result = autolabel(
        images, detector, tmp_path / "auto", task="detect", names=NAMES, conf=CONF, root=data, include_eval=True,
        splits=dict.fromkeys(images, "val"), human=people(data, "val"),
    )  # fmt: skip
    cells = result.agreement["val"][0]
    assert cells.precision is not None
    assert cells.precision > 0.2  # chance is near 0: boxes of the right class in the right places
    assert cells.recall is not None
    assert cells.recall > 0.1
    for image in result.images:
        assert image.label is not None
        rows = [line.split() for line in image.label.read_text().splitlines()]
        assert [int(row[0]) for row in rows] == [box.category for box in image.drawn]
        assert all(len(row) == 5 and all(0 <= float(value) <= 1 for value in row[1:]) for row in rows)
        assert all(box.score >= CONF - 1e-4 for box in image.drawn)


def test_ultralytics_reads_these_labels(detector: Path, data: Path, tmp_path: Path) -> None:
    from ultralytics.data.dataset import YOLODataset

    images = images_of(data)[:6]
    result = autolabel(images, detector, tmp_path / "set", task="detect", names=NAMES, conf=CONF, root=data)
    for image in images:
        copy = tmp_path / "set" / "images" / "train" / image.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, copy)
    read = YOLODataset(str(tmp_path / "set" / "images" / "train"), data={"names": NAMES}, imgsz=96, augment=False)
    assert [len(label["cls"]) for label in read.labels] == [len(image.drawn) for image in result.images]
    assert sum(len(label["cls"]) for label in read.labels) > 0


@pytest.mark.nightly  # whose mask is whose: the next test
def test_masks_come_from_sam_with_the_class_of_their_box(detector: Path, sam: Path, data: Path, tmp_path: Path) -> None:
    images = images_of(data)[:2]
    plain = autolabel(images, detector, tmp_path / "boxes", task="detect", names=NAMES, conf=CONF)
    masks = autolabel(images, detector, tmp_path / "masks", task="segment", names=NAMES, conf=CONF, sam=sam)
    assert all(len(mark.points) > 8 for image in masks.images for mark in image.drawn)  # more than a box's corners
    assert json.loads(masks.manifest.read_text())["sam"]["sha256"] == sha256_of(sam)
    for boxes, outlines in zip(plain.images, masks.images, strict=True):
        assert [mark[:3] for mark in outlines.drawn] == [mark[:3] for mark in boxes.drawn]
        assert outlines.drawn
        for mark in outlines.drawn:
            assert len(mark.points) >= 6
            assert len(mark.points) % 2 == 0
            assert all(0 <= value <= 1 for value in mark.points)
        assert outlines.label is not None
        assert all(len(line.split()) >= 7 for line in outlines.label.read_text().splitlines())


def test_a_mask_that_sam_leaves_out_shifts_no_class(
    detector: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from ultralytics.engine.results import Results

    annotator = Annotator(detector, NAMES, task="detect", sam=None, conf=CONF)
    image = next(image for image in images_of(data) if len(annotator.draw(image) or ()) >= 3)
    plain = annotator.draw(image)
    assert plain is not None

    def sam_without_the_first(pixels: Any, bboxes: Any, **_: Any) -> list[Any]:
        height, width = pixels.shape[:2]
        masks = torch.zeros(len(bboxes), height, width, dtype=torch.bool)
        for place, (left, top, right, bottom) in enumerate(bboxes.round().int().tolist()):
            masks[place, top:bottom, left:right] = True
        numbers = torch.arange(len(bboxes))[:, None].float()
        rows = torch.cat([bboxes, torch.ones_like(numbers), numbers], 1)
        return [Results(pixels, path="", names={}, masks=masks[1:], boxes=rows[1:])]

    monkeypatch.setattr(annotator, "_sam", sam_without_the_first)
    masked = annotator.draw(image)
    assert masked is not None
    for mark, box in zip(masked, plain, strict=True):
        assert mark[:3] == box[:3]
        xs, ys = mark.points[::2], mark.points[1::2]
        around = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
        assert around == pytest.approx(box.box[:2], abs=0.03)  # also the first: its box takes the place of its mask


WRONG = {
    "other names": ({"names": {0: "ship"}}, "no class name is in both"),
    "task without boxes": ({"task": "classify"}, "task classify"),
    "masks from a detector": ({"task": "segment"}, "or also give sam"),
    "missing weights": ({"weights": Path("gone.pt")}, "gone.pt does not exist"),
    "missing sam": ({"sam": Path("gone/mobile_sam.pt")}, "gone/mobile_sam.pt does not exist"),
}


@pytest.mark.parametrize(("change", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_refused(
    detector: Path, data: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    arguments = {"weights": detector, "task": "detect", "names": NAMES, **change}
    with pytest.raises(TrainingError, match=told):
        autolabel(images_of(data)[:1], out=tmp_path / "auto", **arguments)
    assert not (tmp_path / "auto").exists()


def test_classes_the_data_set_lacks_are_left_out(detector: Path, data: Path, tmp_path: Path) -> None:
    names = {0: "WBC", 1: "RBC"}
    result = autolabel(images_of(data)[:4], detector, tmp_path / "auto", task="detect", names=names, conf=CONF)
    assert result.unknown_classes == ("Platelets",)
    kinds = {box.category for image in result.images for box in image.drawn}
    assert 1 in kinds
    assert kinds <= {0, 1}


@pytest.mark.parametrize("name", ["det.pt", "mobile_sam.pt"], ids=["detector", "sam"])
@pytest.mark.parametrize("nested", [True, False], ids=["in a dict", "alone"])
def test_weights_from_strangers_run_nothing(
    detector: Path, data: Path, tmp_path: Path, name: str, nested: bool
) -> None:
    import torch

    canary, weights = tmp_path / "pwned", tmp_path / name
    torch.save({"model": Runs(canary)} if nested else Runs(canary), weights)
    which: dict[str, Any] = {"weights": weights} if name == "det.pt" else {"weights": detector, "sam": weights}
    with pytest.raises(TrainingError, match="cannot be loaded"):
        autolabel(images_of(data)[:1], out=tmp_path / "auto", task="detect", names=NAMES, **which)
    assert not canary.exists()
    torch.load(weights, weights_only=False)
    assert canary.exists()  # the canary works


def test_weights_run_nothing_where_ultralytics_was_imported_first(data: Path, tmp_path: Path) -> None:
    """Ultralytics reads at import whether it loads weights only; a notebook may have imported it before us."""
    import torch

    canary, weights = tmp_path / "pwned", tmp_path / "det.pt"
    torch.save(Runs(canary), weights)
    code = (
        "import sys, pathlib, ultralytics.nn.tasks as tasks\n"
        "from yolosweep.errors import TrainingError\n"
        "from yolosweep.autolabel.annotators import Annotator\n"
        "assert not tasks.SAFE_LOAD\n"
        "try: Annotator(pathlib.Path(sys.argv[1]), {0: 'RBC'}, task='detect', sam=None, conf=0.5)\n"
        "except TrainingError as error: print(error)\n"
    )
    env = {key: value for key, value in os.environ.items() if key != "ULTRALYTICS_SAFE_LOAD"}

    done = subprocess.run([sys.executable, "-c", code, str(weights)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "cannot be loaded" in done.stdout
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04"], ids=["empty", "text", "zip"])
@pytest.mark.parametrize("name", ["det.pt", "mobile_sam.pt"])
def test_damaged_weights_are_told(detector: Path, data: Path, tmp_path: Path, name: str, content: bytes) -> None:
    weights = tmp_path / name
    weights.write_bytes(content)
    which: dict[str, Any] = {"weights": weights} if name == "det.pt" else {"weights": detector, "sam": weights}
    with pytest.raises(TrainingError, match="cannot be loaded"):
        autolabel(images_of(data)[:1], out=tmp_path / "auto", task="detect", names=NAMES, **which)


def test_unreadable_images_are_told(detector: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_bytes(b"not an image")
    shutil.copyfile(images_of(data)[0], folder / "good ' 🚗.jpg")
    result = autolabel(sorted(folder.iterdir()), detector, tmp_path / "auto", task="detect", names=NAMES, conf=CONF)
    assert [image.state for image in result.images] == ["unreadable", "written", "unreadable"]


def test_drawing_leaves_the_images_folder_as_it_was(detector: Path, data: Path, tmp_path: Path) -> None:
    before = {file: sha256_of(file) for file in data.rglob("*") if file.is_file()}
    autolabel(images_of(data)[:3], detector, tmp_path / "auto", task="detect", names=NAMES)
    assert {file: sha256_of(file) for file in data.rglob("*") if file.is_file()} == before


def test_the_command_draws_in_train_alone_and_the_gate_knows_its_labels(
    detector: Path, data: Path, tmp_path: Path
) -> None:
    words = ["autolabel", str(data / "data.yaml"), "--weights", str(detector), "--conf", str(CONF), "--json"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "set")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    drawn = sorted((tmp_path / "set" / "labels").rglob("*.txt"))
    assert [file.stem for file in drawn] == [image.stem for image in images_of(data)]
    assert told["images"] == len(drawn)
    assert list(told["agreement"]) == ["train"]
    assert "auto-labels" in Path(told["review"]).read_text()
    for split in ("train", "val"):
        shutil.copytree(data / "images" / split, tmp_path / "set" / "images" / split)
    shutil.copytree(data / "labels" / "val", tmp_path / "set" / "labels" / "val")
    (tmp_path / "set" / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [RBC, WBC, Platelets]\n")
    gate = examine(str(tmp_path / "set" / "data.yaml"), "detect")
    codes = {finding.code for finding in gate.dataset.findings}
    assert "label-machine" in codes
    assert "label-machine-eval" not in codes  # people drew those of val, though they lie in the same folder
