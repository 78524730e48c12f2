"""Labels by machine: where they are written and where never, what is done again and what is not. No model is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from yolosweep.autolabel import labelling as module
from yolosweep.autolabel.agreement import HumanLabel, PredictedLabel
from yolosweep.autolabel.labelling import AutolabelResult, autolabel
from yolosweep.errors import DataError, RunFolderError, YolosweepError
from yolosweep.storage.atomic_files import sha256_of

NAMES = {0: "red car", 1: "car"}
SEEN = (
    PredictedLabel(1, (0.5, 0.5, 0.25, 0.5), 0.9),
    PredictedLabel(0, (0.2, 0.2, 0.1, 0.1), 0.4, (0.15, 0.15, 0.25, 0.15, 0.2, 0.25)),
)


class Draws:
    """Stands in for the models: sees the same on every image, nothing on ``empty`` and no image in ``broken``."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.unknown_classes = ["boat"]
        self.versions = {"ultralytics": "8"}

    asked: list[str] = []  # noqa: RUF012
    stop_at = ""

    def draw(self, image: Path) -> tuple[PredictedLabel, ...] | None:
        if image.stem == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(image.name)
        return None if "broken" in image.name else () if "empty" in image.name else SEEN


Call = Callable[..., AutolabelResult]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("train/a.jpg", "train/b.jpg", "train/empty.jpg", "val/v.jpg"):
        (tmp_path / "data" / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "images" / name).write_bytes(b"image")
    (tmp_path / "data" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return tmp_path / "data"


@pytest.fixture
def label(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setattr(module, "Annotator", Draws)
    monkeypatch.setattr(Draws, "asked", [])
    (tmp_path / "det.pt").write_bytes(b"weights")

    def call(*images: Path, **more: Any) -> AutolabelResult:
        chosen = list(images) or sorted((data / "images" / "train").iterdir())
        weights, out = more.pop("weights", tmp_path / "det.pt"), more.pop("out", tmp_path / "auto")
        return autolabel(chosen, weights, out, **{"task": "detect", "names": NAMES, "root": data, **more})

    return call


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_labels_go_into_a_folder_of_their_own(label: Call, data: Path, tmp_path: Path) -> None:
    before = files(data)
    result = label()
    assert files(data) == before
    out = tmp_path / "auto"
    assert sorted(files(out)) == [
        ".lock", "autolabel.json", "autolabel.jsonl", "labels/train/a.txt", "labels/train/b.txt",
        "labels/train/empty.txt",
    ]  # fmt: skip
    assert (out / "labels/train/a.txt").read_text().splitlines() == [
        "1 0.500000 0.500000 0.250000 0.500000",
        "0 0.150000 0.150000 0.250000 0.150000 0.200000 0.250000",
    ]
    assert (out / "labels/train/empty.txt").read_text() == ""
    assert [image.state for image in result.images] == ["written"] * 3


def test_the_manifest_says_that_a_machine_drew_them(label: Call, tmp_path: Path) -> None:
    result = label(conf=0.4)
    told = json.loads(result.manifest.read_text())
    assert (told["made_by"], told["complete"], told["conf"]) == ("machine", True, 0.4)
    assert told["weights"]["sha256"] == sha256_of(tmp_path / "det.pt")
    assert told["versions"]["ultralytics"] == "8"
    assert told["boxes"] == {"red car": 2, "car": 2}
    assert told["left_out_classes"] == ["boat"]
    assert [file["boxes"] for file in told["files"]] == [2, 2, 0]
    assert {file["split"] for file in told["files"]} == {"train"}


def test_it_is_measured_on_what_people_drew(label: Call, data: Path) -> None:
    images = sorted((data / "images" / "train").iterdir())
    human = {images[0]: [HumanLabel(1, (0.5, 0.5, 0.25, 0.45)), HumanLabel(0, (0.8, 0.8, 0.1, 0.1))], images[2]: []}
    result = label(human=human)
    by = result.agreement["train"]
    assert (by[1].precision, by[1].recall) == (1, 1)
    assert (by[0].right, by[0].extra, by[0].missed) == (0, 1, 1)
    assert result.summary()["agreement"]["train"]["car"]["precision"] == 1
    assert label(out=data.parent / "other").agreement == {}


def test_done_images_are_not_drawn_again(label: Call) -> None:
    first = label()
    Draws.asked.clear()
    again = label()
    assert Draws.asked == []
    assert [image.state for image in again.images] == ["done"] * 3
    assert [image.drawn for image in again.images] == [image.drawn for image in first.images]


def test_a_stopped_call_goes_on(label: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draws, "stop_at", "b")
    with pytest.raises(KeyboardInterrupt):
        label()
    assert json.loads((tmp_path / "auto" / "autolabel.json").read_text())["complete"] is False
    monkeypatch.setattr(Draws, "stop_at", "")
    Draws.asked.clear()
    assert [image.state for image in label().images] == ["done", "written", "written"]
    assert Draws.asked == ["b.jpg", "empty.jpg"]


@pytest.mark.parametrize(
    "torn", [b'{"image": "/x', b"\xff\xfe\n[]\n", b'{"image": 1}\n'], ids=["cut", "bytes", "other"]
)
def test_a_torn_line_costs_one_image_at_most(label: Call, tmp_path: Path, torn: bytes) -> None:
    label()
    journal = tmp_path / "auto" / "autolabel.jsonl"
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole[:2]) + torn)
    (tmp_path / "auto" / "labels" / "train" / "empty.txt").unlink()
    assert [image.state for image in label().images] == ["done", "done", "written"]
    assert journal.read_bytes() == b"".join(whole)


def test_a_line_without_its_file_is_drawn_again(label: Call, tmp_path: Path) -> None:
    label()
    (tmp_path / "auto" / "labels" / "train" / "b.txt").unlink()
    assert [image.state for image in label().images] == ["done", "written", "done"]


def test_a_line_cannot_lead_out_of_the_folder(label: Call, data: Path, tmp_path: Path) -> None:
    label()
    journal = tmp_path / "auto" / "autolabel.jsonl"
    journal.write_text(journal.read_text().replace("labels/train/a.txt", "../data/labels/train/a.txt"))
    (tmp_path / "auto" / "labels" / "train" / "a.txt").unlink()
    human = (data / "labels" / "train" / "a.txt").read_text()
    result = label()
    assert result.images[0].label == tmp_path / "auto" / "labels" / "train" / "a.txt"
    assert (data / "labels" / "train" / "a.txt").read_text() == human


def test_an_edited_file_is_left_alone(label: Call, tmp_path: Path) -> None:
    label()
    edited = tmp_path / "auto" / "labels" / "train" / "a.txt"
    edited.write_text("0 0.5 0.5 0.2 0.2\n")
    assert [image.state for image in label().images] == ["edited", "done", "done"]
    assert edited.read_text() == "0 0.5 0.5 0.2 0.2\n"


def test_a_file_that_is_not_ours_is_never_overwritten(label: Call, tmp_path: Path) -> None:
    label()
    (tmp_path / "auto" / "autolabel.jsonl").unlink()
    before = files(tmp_path / "auto" / "labels")
    with pytest.raises(RunFolderError, match="not written by autolabel"):
        label()
    assert files(tmp_path / "auto" / "labels") == before


def test_an_unreadable_image_gets_no_file(label: Call, data: Path, tmp_path: Path) -> None:
    broken = data / "images" / "train" / "broken.jpg"
    broken.write_bytes(b"")
    result = label(human={broken: [HumanLabel(0, (0.5, 0.5, 0.1, 0.1))]})
    assert {image.image.name: image.state for image in result.images}["broken.jpg"] == "unreadable"
    assert not (tmp_path / "auto" / "labels" / "train" / "broken.txt").exists()
    assert result.agreement == {}


def test_val_and_test_are_labelled_only_when_asked(label: Call, data: Path, tmp_path: Path) -> None:
    images = [data / "images" / "train" / "a.jpg", data / "images" / "val" / "v.jpg"]
    splits = dict(zip(images, ("train", "val"), strict=True))
    with pytest.raises(DataError, match=r"1 of 2 images belong to val or test.*v\.jpg.*--include-eval"):
        label(*images, splits=splits)
    assert not (tmp_path / "auto").exists()
    result = label(*images, splits=splits, include_eval=True)
    assert [image.split for image in result.images] == ["train", "val"]
    assert json.loads(result.manifest.read_text())["files"][1]["split"] == "val"


@pytest.mark.parametrize(
    "out", [".", "images", "labels", "labels/auto", "images/train/auto", "../link"],
    ids=["dataset", "images", "labels", "below labels", "beside images", "by a link"],
)  # fmt: skip
def test_it_is_never_written_beside_people(label: Call, data: Path, out: str) -> None:
    (data.parent / "link").symlink_to(data / "labels", target_is_directory=True)
    before = files(data)
    with pytest.raises(YolosweepError, match="the images or human labels"):
        label(out=data / out)
    assert files(data) == before


def test_a_folder_with_something_else_is_refused(label: Call, tmp_path: Path) -> None:
    (tmp_path / "auto").mkdir()
    (tmp_path / "auto" / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="already contains thesis"):
        label()
    assert sorted(files(tmp_path / "auto")) == ["thesis.txt"]


def test_labels_of_other_models_are_not_mixed(label: Call, tmp_path: Path) -> None:
    label()
    (tmp_path / "other.pt").write_bytes(b"other weights")
    with pytest.raises(RunFolderError, match="predicted with other weights and conf"):
        label(weights=tmp_path / "other.pt", conf=0.5)
    (tmp_path / "moved.pt").write_bytes(b"weights")
    assert [image.state for image in label(weights=tmp_path / "moved.pt").images] == ["done"] * 3


@pytest.mark.parametrize("content", ["", "[]", '{"weights": 3}', "\x00"], ids=["empty", "list", "other", "binary"])
def test_a_damaged_manifest_is_told(label: Call, tmp_path: Path, content: str) -> None:
    label()
    (tmp_path / "auto" / "autolabel.json").write_text(content)
    with pytest.raises(RunFolderError, match="corrupt"):
        label()


def test_two_at_once_are_refused(label: Call, tmp_path: Path) -> None:
    label()
    with FileLock(tmp_path / "auto" / ".lock"), pytest.raises(RunFolderError, match="another yolosweep autolabel"):
        label()


def test_two_images_for_one_label_file_are_refused(label: Call, data: Path) -> None:
    (data / "images" / "train" / "a.PNG").write_bytes(b"image")
    with pytest.raises(DataError, match=r"would share the label file labels/train/a\.txt"):
        label()


def test_images_from_elsewhere_have_a_place_too(label: Call, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "images" / "a.jpg"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"image")
    result = label(data / "images" / "train" / "a.jpg", other)
    places = [str(image.label.relative_to(tmp_path / "auto")) for image in result.images if image.label]
    assert places[0] == "labels/train/a.txt"
    assert places[1].startswith("labels/elsewhere/")


def test_progress_is_told(label: Call) -> None:
    told: list[tuple[int, int]] = []
    label(progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
