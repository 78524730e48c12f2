"""Rows of label files in another order or unit: recognized, named, and rewritten to what they mean."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.bench.foreign_data import ROWS, answers, dataset

from yolosweep.data.checks.box_formats import counts_from_one
from yolosweep.data.checks.dataset_checks import examine
from yolosweep.data.model.dataset_items import Item, LabelFile, Layout, Problem, Row
from yolosweep.data.prepare.row_conversion import converted_rows
from yolosweep.data.scan.row_kinds import row_kind


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


KINDS = {
    "a box": ("detect", "0 0.5 0.5 0.2 0.2", ""),
    "a confidence": ("detect", "0 0.5 0.5 0.2 0.2 0.87\n1 0.5 0.5 0.1 0.1 1", "label-confidence"),
    "a confidence after corners": ("obb", "0 .1 .1 .3 .1 .3 .3 .1 .3 0.9", "label-confidence"),
    "a confidence after a polygon": (
        "segment",
        "0 .1 .1 .3 .1 .3 .3 .9\n0 .1 .1 .3 .1 .3 .3 .2 .2 1",
        "label-confidence",
    ),
    "a track": ("detect", "0 0.5 0.5 0.2 0.2 1\n0 0.5 0.5 0.2 0.2 2", "label-track"),
    "a confidence and a track": ("detect", "0 0.5 0.5 0.2 0.2 0.8 12", "label-track"),
    "an angle": ("obb", "0 0.5 0.5 0.2 0.2 0.3", "label-xywhr"),
    "an angle in degrees": ("obb", "0 0.5 0.5 0.2 0.2 -45.5", "label-xywhr"),
    "keypoints": ("detect", "0 .5 .5 .2 .2 .1 .1 2 .2 .2 0", "label-pose-rows"),
    "keypoints of pose": ("pose", "0 .5 .5 .2 .2 .1 .1 2 .2 .2 0", ""),
    "DOTA": ("obb", "gsd:0.1\n1 1 9 1 9 9 1 9 large-vehicle 0", "label-dota"),
    "four corners": ("obb", "0 .1 .1 .3 .1 .3 .3 .1 .3", ""),
    "a triangle that touches the lower edge": ("segment", "0 0.1 0.2 0.3 0.2 0.5 1", ""),
    "a polygon with corners at 0 and 1": ("segment", "0 0.1 0.2 0.3 0.2 0.5 0 0.2 0.2 1 1", ""),
    "only some rows": ("detect", "0 0.5 0.5 0.2 0.2 0.87\n0 0.5 0.5 0.2 0.2", ""),
    "words": ("detect", "car 0.5 0.5 0.2 0.2", ""),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_all_rows(name: str) -> None:
    task, text, code = KINDS[name]
    assert row_kind([line.split() for line in text.splitlines()], task) == code


TURNED = "1 0.575 0.366667 0.575 0.633333 0.425 0.633333 0.425 0.366667\n"
REWRITTEN = {
    "confidence": ("detect", "1 0.5 0.5 0.2 0.2 0.87\n", "1 0.5 0.5 0.2 0.2\n"),
    "track": ("detect", "1 0.5 0.5 0.2 0.2 0.9 4\n", "1 0.5 0.5 0.2 0.2\n"),
    "pose": ("detect", "1 .5 .5 .2 .2 .1 .1 2 .2 .2 0\n", "1 0.5 0.5 0.2 0.2\n"),
    "percent": ("detect", "1 50 50 20 20\n0 30 40 10 80\n", "1 0.5 0.5 0.2 0.2\n0 0.3 0.4 0.1 0.8\n"),
    "from one": ("detect", "1 0.5 0.5 0.2 0.2\n2 0.1 0.1 0.1 0.1\n", "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n"),
    "dota": ("obb", "gsd:1\n64 48 320 48 320 240 64 240 b 1\n", "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"),
    "xywhr": (
        "obb",
        f"1 0.5 0.5 0.2 0.2 {math.pi / 2}\n",
        "1 0.575 0.366667 0.575 0.633333 0.425 0.633333 0.425 0.366667\n",
    ),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_rows_are_rewritten_to(name: str, tmp_path: Path) -> None:
    task, text, expected = REWRITTEN[name]
    gate = examine(str(dataset(tmp_path, label=text, size=(640, 480))), task)
    texts, changes = converted_rows(gate.layout)
    assert set(texts.values()) == {expected}
    assert len(texts) == 8
    assert [change.rpartition(", in ")[2] for change in changes] == ["8 label files"]


def test_nothing_is_rewritten_in_a_good_data_set(tmp_path: Path) -> None:
    gate = examine(str(dataset(tmp_path)), "detect")
    texts, changes = converted_rows(gate.layout)
    assert changes == []
    assert set(texts.values()) == {"0 0.5 0.5 0.2 0.2\n"}


def test_pixels_in_a_small_corner_are_not_percent(tmp_path: Path) -> None:
    yaml = dataset(tmp_path, label="0 50 50 20 20\n0 300 200 50 50\n", size=(640, 480))
    assert "label-pixels" in {one.code for one in examine(str(yaml), "detect").dataset.findings}


@pytest.mark.parametrize(("files", "shifted"), [(1, False), (3, True)])
def test_one_high_number_among_many_files_is_a_slip(files: int, shifted: bool, tmp_path: Path) -> None:
    items = tuple(Item(tmp_path / f"{n}.jpg", tmp_path / f"{n}.txt") for n in range(300))
    layout = Layout(task="detect", source=tmp_path, root=tmp_path, names={0: "a", 1: "b"}, splits={"train": items})
    good = LabelFile("x", (Row(1, 1, (0.5, 0.5, 0.1, 0.1)),))
    bad = LabelFile("y", (), (Problem("label-class-range", 1, "class 2 of 2"),))
    labels = {item.label: bad if n < files else good for n, item in enumerate(items) if item.label is not None}
    assert bool(counts_from_one(layout, labels)) is shifted


SAID: dict[str, str] = {
    "path: C:\\… with backslash splits": "can start: True",
    "literal val = train on Windows paths": "error leak-exact[val]",
    "channels: 4, images RGB": "error image-channels[train]",
    "channels: 10, images 7-page TIFF": "7 channels, and data.yaml has channels: 10",
    "every file a link to a blob store, check": "if you trust that place, use the files with --allow file-outside",
    "the same with --allow file-outside": "8 files outside the dataset's folders (through a link, .. or a list) are",
    "the same in split": "if you trust that place",
    "autolabel of a folder of unlabelled images": "images 3, names of the weights",
    "class numbers from 1": "error label-from-one[None]",
    "4 jpg and 4 jfif with labels": "warning file-suffix[val]",
    "left, top, width, height": "warning label-left-top[train]",
    "percent": "error label-percent[train]",
    "flat labels/ beside images/train, images/val": "can start: True",
    "a.jpg.txt": "can start: True",
    "my_photo_1.txt for my photo 1.jpg": "can start: True",
    "imgs/ and anns/": "can start: True",
    "4 labelled and 20 background images per split": "can start: True\nwarning label-background[train]: 20 of 24",
    "test: images/val": "can start: True\nwarning split-test-is-val[test]",
    "12000x12000 PNG in split": "left out 0",
    "16-bit RGB TIFF of 12-bit values": "warning image-16bit[train]",
    "COCO JSON beside the images (Roboflow), no data.yaml": "can start: True\nnote file-converted[None]",
    "labelme x.json beside the images": "the labels are labelme, which Ultralytics does not read: yolosweep convert",
    "Pascal VOC x.xml beside the images": "the labels are Pascal VOC",
    "Supervisely img/ and ann/x.jpg.json": "the labels are Supervisely",
    "set.ndjson as data": "can start: True\nnote file-converted[None]",
    "a .7z, a .rar": "set.rar is not unpacked",
    "zip with data.yaml three folders deep": "can start: True",
    "confidence column": "error label-confidence[train]",
    "tracker ids": "error label-track[train]",
    "xywhr under obb": "error label-xywhr[train]",
    "COCO-pose rows under detect and segment": "error label-pose-rows[train]",
    "DOTA rows under obb": "error label-dota[train]",
    "classes: instead of names:": "names (line 4): classes: is not read; call the key names:",
    "stray quote in path:": "quote",
    "classify: extra class in val, missing class in val": "can start: True\nwarning file-class-extra[val]: 3",
    "duplicate findings where val is train": "error leak-exact[val]",
    "balance advice where there is no label at all": "error file-no-labels[train]",
}
"""What is said about each row of the bench, by its name."""

NOT_SAID = {
    "class numbers from 1": "label-class-range",
    "duplicate findings where val is train": "duplicate-exact[val]",
    "balance advice where there is no label at all": "balance-empty",
    "left, top, width, height": "clip the boxes",
}


def test_every_row_of_the_bench_has_its_expected_words() -> None:
    assert {row.name for row in ROWS} == SAID.keys()


@pytest.mark.parametrize("name", SAID)
def test_what_is_said_about_data_of_other_programs(name: str) -> None:
    ((_, now),) = [answer for answer in answers(name) if answer[0].name == name]
    assert SAID[name] in now
    assert NOT_SAID.get(name, "\0") not in now
