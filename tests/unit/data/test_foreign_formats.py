"""Labels of other formats: each is read with the right values, and hostile files are refused in words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bench.foreign_data import coco_of, picture, voc_of

from yolosweep.data import examine, write_view
from yolosweep.data.foreign.any_format import foreign_layout
from yolosweep.data.model.dataset_items import Layout
from yolosweep.errors import DataError
from yolosweep.ledger import RunFolder

BOX = [6 / 64, 12 / 48, 22 / 64, 24 / 48]
"""Left, top, right, bottom of the box that every file here has, in an image of 64 x 48."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rows(layout: Layout) -> dict[str, list[list[float]]]:
    """Return the rows of the label files by image name."""
    items = [item for every in layout.splits.values() for item in every]
    texts = {item.image.name: item.label.read_text() for item in items if item.label is not None}
    return {name: [[float(v) for v in line.split()] for line in text.splitlines()] for name, text in texts.items()}


def edges(row: list[float]) -> list[float]:
    _, x, y, width, height = row[:5]
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def coco(place: Path) -> None:
    (place / "annotations").mkdir()
    (place / "annotations" / "instances_default.json").write_text(json.dumps(coco_of(["a.jpg"])))


def voc(place: Path) -> None:
    (place / "Annotations").mkdir()
    (place / "Annotations" / "a.xml").write_text(voc_of("elsewhere.png"))


def cvat(place: Path) -> None:
    box = '<box label="a" xtl="6" ytl="12" xbr="22" ybr="24" occluded="0"/>'
    image = f'<image id="0" name="sub/a.jpg" width="64" height="48">{box}<points label="a" points="1,2"/></image>'
    labels = "<meta><job><labels><label><name>a</name></label></labels></job></meta>"
    (place / "annotations.xml").write_text(f"<annotations>{labels}{image}</annotations>")


def label_studio(place: Path) -> None:
    value = {"x": 9.375, "y": 25, "width": 25, "height": 25, "rotation": 0, "rectanglelabels": ["a"]}
    one = {"type": "rectanglelabels", "value": value, "original_width": 64, "original_height": 48}
    done = {"result": [one, {"type": "choices", "value": {"choices": ["good"]}}], "was_cancelled": False}
    tasks = [
        {"data": {"image": "/data/upload/3/0123abcd-a.jpg"}, "annotations": [done]},
        {"data": {"image": "b.jpg"}, "annotations": []},
    ]
    (place / "export.json").write_text(json.dumps(tasks))


def labelme(place: Path) -> None:
    shape = {"label": "a", "points": [[22, 24], [6, 12]], "shape_type": "rectangle"}
    content = {"shapes": [shape], "imagePath": "..\\x\\a.jpg", "imageHeight": 48, "imageWidth": 64}
    (place / "a.json").write_text(json.dumps(content))


def supervisely(place: Path) -> None:
    (place / "ann").mkdir()
    one = {"classTitle": "a", "geometryType": "rectangle", "points": {"exterior": [[6, 12], [22, 24]], "interior": []}}
    content = {"size": {"height": 48, "width": 64}, "objects": [one]}
    (place / "ann" / "a.jpg.json").write_text(json.dumps(content))


def ndjson(place: Path) -> None:
    head = {"type": "dataset", "task": "detect", "class_names": {"0": "a"}}
    boxes = {"boxes": [[0, 14 / 64, 18 / 48, 16 / 64, 12 / 48]]}
    lines = [head, {"type": "image", "file": "a.jpg", "split": "train", "annotations": boxes}]
    (place / "set.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))


def dota(place: Path) -> None:
    (place / "labelTxt").mkdir()
    (place / "labelTxt" / "a.txt").write_text("imagesource:x\ngsd:0.1\n6 12 22 12 22 24 6 24 a 0\n")


FORMATS: dict[str, Callable[[Path], None]] = {
    "COCO JSON": coco,
    "Pascal VOC": voc,
    "CVAT XML": cvat,
    "Label Studio JSON": label_studio,
    "labelme": labelme,
    "Supervisely": supervisely,
    "NDJSON": ndjson,
    "DOTA": dota,
}


def folder(place: Path, write: Callable[[Path], None]) -> Path:
    root = place / "set"
    picture(root / "images" / "a.jpg", 1)
    picture(root / "images" / "b.jpg", 2)
    write(root)
    return root


@pytest.mark.parametrize("name", FORMATS)
def test_a_box_of_every_format_is_read(name: str, tmp_path: Path) -> None:
    layout = foreign_layout(folder(tmp_path, FORMATS[name]), "detect")
    assert layout is not None
    assert name in layout.findings[0].message
    assert layout.names == ({0: "a", 1: "b"} if name == "COCO JSON" else {0: "a"})
    found = rows(layout)
    assert edges(found["a.jpg"][0]) == pytest.approx(BOX, abs=1e-5)
    assert "b.jpg" not in found, "an image that the file does not know is not background"
    assert layout.splits.keys() == {"train"}


@pytest.mark.parametrize("name", ["COCO JSON", "CVAT XML", "Label Studio JSON", "NDJSON"])
def test_the_file_itself_may_be_named(name: str, tmp_path: Path) -> None:
    root = folder(tmp_path, FORMATS[name])
    file = next(path for path in root.rglob("*") if path.suffix in (".json", ".xml", ".ndjson"))
    layout = foreign_layout(file, "detect")
    assert layout is not None
    assert edges(rows(layout)["a.jpg"][0]) == pytest.approx(BOX, abs=1e-5)


def test_the_splits_of_a_roboflow_export_are_its_folders(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "valid", "test")):
        picture(tmp_path / "set" / split / "same.jpg", number)
        (tmp_path / "set" / split / "_annotations.coco.json").write_text(json.dumps(coco_of(["same.jpg"])))
    gate = examine(str(tmp_path / "set"), "detect")
    assert gate.errors == []
    assert gate.dataset.images == {"train": 1, "val": 1, "test": 1}
    assert gate.dataset.instances["val"] == {0: 1, 1: 0}
    view = write_view(gate.layout, gate.dataset, RunFolder.create(tmp_path / "runs", "x"))
    label = Path(view.train_on).parent / "linked" / "labels" / "val" / "0.txt"
    assert label.read_text().startswith("0 ")
    assert not label.is_symlink(), "other machines do not have the cache of this one"


def test_voc_takes_its_splits_from_image_sets(tmp_path: Path) -> None:
    root = tmp_path / "VOC2012"
    for number, (stem, split) in enumerate((("one", "train"), ("two", "val"))):
        picture(root / "JPEGImages" / f"{stem}.jpg", number)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{stem}.xml").write_text(voc_of(f"{stem}.jpg"))
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{stem}\n")
    assert examine(str(tmp_path), "detect").dataset.images == {"train": 1, "val": 1}


def coco_with(place: Path, annotation: dict[str, Any], category: dict[str, Any] | None = None) -> Layout:
    root = place / "set"
    picture(root / "a.jpg", 1)
    content = {
        "images": [{"id": 7, "file_name": "C:\\data\\a.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 3, "name": "cat", **(category or {})}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, **annotation}],
    }
    (root / "x.json").write_text(json.dumps(content))
    found = foreign_layout(root, "pose" if category else "segment")
    assert found is not None
    return found


def test_parts_of_a_polygon_become_one_outline(tmp_path: Path) -> None:
    parts = [[0, 0, 32, 0, 32, 24], [48, 24, 64, 24, 64, 48]]
    (row,) = rows(coco_with(tmp_path, {"bbox": [0, 0, 64, 48], "segmentation": parts}))["a.jpg"]
    points = list(zip(row[1::2], row[2::2], strict=True))
    assert {(0, 0), (0.5, 0), (0.5, 0.5), (0.75, 0.5), (1, 0.5), (1, 1)} <= set(points)


def test_what_yolo_has_no_place_for_is_counted(tmp_path: Path) -> None:
    mask = {"bbox": [6, 12, 16, 12], "segmentation": {"counts": [1, 2], "size": [48, 64]}}
    layout = coco_with(tmp_path, mask)
    (row,) = rows(layout)["a.jpg"]
    assert len(row) == 9
    told = {one.code: one.message for one in layout.findings}
    assert "1 RLE masks, of which the boxes are kept" in told["file-converted-part"]
    assert "all 1 objects of COCO JSON are boxes" in told["label-boxes-only"]


def test_keypoints_and_their_mirror_order(tmp_path: Path) -> None:
    names = ["nose", "left_eye", "right_eye"]
    one = {"bbox": [6, 12, 16, 12], "keypoints": [8, 16, 2, 16, 24, 1, 0, 0, 0]}
    layout = coco_with(tmp_path, one, {"keypoints": names})
    assert layout.extra == {"kpt_shape": [3, 3], "flip_idx": [0, 2, 1]}
    (row,) = rows(layout)["a.jpg"]
    assert row[5:] == pytest.approx([8 / 64, 16 / 48, 2, 16 / 64, 0.5, 1, 0, 0, 0], abs=1e-5)


def test_a_rotated_box_of_label_studio_turns_about_its_corner_in_pixels(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "width": 25, "height": 25, "rotation": 90, "rectanglelabels": ["a"]}
    one = {"type": "rectanglelabels", "value": value | {"original_width": 64, "original_height": 48}}

    def write(root: Path) -> None:
        tasks = [{"data": {"image": "a.jpg"}, "annotations": [{"result": [one]}]}]
        (root / "x.json").write_text(json.dumps(tasks))

    layout = foreign_layout(folder(tmp_path, write), "obb")
    assert layout is not None
    (row,) = rows(layout)["a.jpg"]
    # 16 x 12 pixels at (32, 24), turned clockwise: from x 20 to 32, from y 24 to 40.
    corners = [32, 24, 32, 40, 20, 40, 20, 24]
    assert row[1:] == pytest.approx([value / (64, 48)[at % 2] for at, value in enumerate(corners)], abs=1e-5)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'


@pytest.mark.parametrize("content", [BOMB, FILE, "<annotation>", "", "<annotation>" * 20_000])
def test_hostile_xml_is_refused(content: str, tmp_path: Path) -> None:
    root = folder(tmp_path, lambda root: None)
    (root / "a.xml").write_text(content)
    with pytest.raises(DataError, match="cannot be read as XML"):
        foreign_layout(root / "a.xml", "detect")


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"images": 1}', "[]", "null", '"x"'])
def test_hostile_json_is_refused(content: str, tmp_path: Path) -> None:
    root = folder(tmp_path, lambda root: None)
    (root / "x.json").write_text(content)
    with pytest.raises(DataError):
        foreign_layout(root / "x.json", "detect")


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    picture(tmp_path / "secret" / "s.jpg", 5)
    content = coco_of(["../secret/s.jpg", str(tmp_path / "secret" / "s.jpg"), "a.jpg"])
    root = folder(tmp_path, lambda root: None)
    (root / "x.json").write_text(json.dumps(content))
    layout = foreign_layout(root, "detect")
    assert layout is not None
    assert [item.image.name for item in layout.splits["train"]] == ["a.jpg"]
    assert "2 images that are not in the folder" in layout.findings[-1].message


def test_malformed_objects_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    content: dict[str, Any] = coco_of(["a.jpg"])
    good = content["annotations"][0]
    bad: list[Any] = [{"bbox": "x"}, {"bbox": [math.inf, 0, 1, 1]}, {"category_id": 99}, {"category_id": []}]
    content["annotations"] += [*({**good, **change} for change in bad), None, {"bbox": [500, 500, 9, 9], **{}}]
    root = folder(tmp_path, lambda root: None)
    (root / "x.json").write_text(json.dumps(content))
    layout = foreign_layout(root, "detect")
    assert layout is not None
    assert len(rows(layout)["a.jpg"]) == 1
    assert "malformed objects" in layout.findings[-1].message
