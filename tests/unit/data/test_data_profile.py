"""The task of a data set is read off its labels, and its images and boxes are measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from yolosweep.data import examine, guess_task, profile_of

LINES = {
    "detect": "0 0.5 0.5 0.2 0.1",
    "segment": "0 0.1 0.1 0.5 0.1 0.5 0.5 0.2 0.6 0.1 0.4",
    "obb": "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5",
}


def data_set(folder: Path, line: str, more: str = "") -> Path:
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for number in range(3):
            shade = 40 * number + (120 if split == "val" else 0)
            Image.new("RGB", (200, 100), (shade, 255 - shade, 10)).save(folder / "images" / split / f"{number}.png")
            (folder / "labels" / split / f"{number}.txt").write_text(line + "\n")
    file = folder / "data.yaml"
    file.write_text(f"train: images/train\nval: images/val\nnames: {{0: car}}\n{more}")
    return file


@pytest.mark.parametrize("task", LINES)
def test_lines_tell_the_task(task: str, tmp_path: Path) -> None:
    assert guess_task(str(data_set(tmp_path, LINES[task]))) == task


def test_boxes_among_polygons_are_trained_as_boxes(tmp_path: Path) -> None:
    assert guess_task(str(data_set(tmp_path, f"{LINES['detect']}\n{LINES['segment']}"))) == "detect"


def test_keypoints_and_class_folders_tell_the_task(tmp_path: Path) -> None:
    assert guess_task(str(data_set(tmp_path / "pose", "0 0.5 0.5 0.2 0.1 0.5 0.5 2", "kpt_shape: [1, 3]\n"))) == "pose"
    (tmp_path / "folders" / "train" / "car").mkdir(parents=True)
    assert guess_task(str(tmp_path / "folders")) == "classify"
    assert guess_task("sample:parking") == "detect"


def test_images_and_boxes_are_measured(tmp_path: Path) -> None:
    found = profile_of(examine(str(data_set(tmp_path, LINES["detect"])), "detect"))
    assert (found.train_images, found.longer_side) == (3, 200)
    assert found.small_box == pytest.approx(0.1 * 100 / 200)
