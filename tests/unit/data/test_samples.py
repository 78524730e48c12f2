"""The drawn sample: what it writes, that it repeats itself, and that its boxes are right."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from yolosweep.data import examine
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.data.samples.parking_scene import NAMES, Box, scene
from yolosweep.errors import UsageError

SIZE = 128


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def redness(pixels: np.ndarray) -> np.ndarray:
    """How much red stands out of green and blue, per pixel."""
    red, green, blue = np.moveaxis(pixels.astype(float), -1, 0)
    return np.asarray(red - np.maximum(green, blue))


@functools.lru_cache
def scenes(count: int, *, empty: bool = False) -> list[tuple[np.ndarray, list[Box]]]:
    drawn = (scene(np.random.default_rng(i), SIZE, empty=empty) for i in range(count))
    return [(np.asarray(image), boxes) for image, boxes in drawn]


def overlap(one: Box, other: Box) -> float:
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(wide, 0) * max(high, 0)


class TestScene:
    @pytest.mark.slow
    def test_boxes_lie_in_the_picture_and_are_as_large_as_cars(self) -> None:
        boxes = [box for _, found in scenes(30) for box in found]
        assert {box.label for box in boxes} == set(NAMES)
        for box in boxes:
            assert 0 <= box.left < box.right <= SIZE
            assert 0 <= box.top < box.bottom <= SIZE
            assert min(box.right - box.left, box.bottom - box.top) >= 6
            assert max(box.right - box.left, box.bottom - box.top) <= 0.45 * SIZE

    def test_every_red_pixel_lies_in_a_box_of_a_red_car(self) -> None:
        for pixels, boxes in scenes(30):
            outside = redness(pixels) > 60
            for box in boxes:
                if NAMES[box.label] == "red_car":
                    outside[int(box.top) : int(np.ceil(box.bottom)), int(box.left) : int(np.ceil(box.right))] = False
            assert not outside.any()

    def test_boxes_of_red_cars_are_tight(self) -> None:
        """A red car that stands alone fills its box to within two pixels on each side."""
        seen = 0
        for pixels, boxes in scenes(30):
            for box in boxes:
                reach = Box(0, box.left - 4, box.top - 4, box.right + 4, box.bottom + 4)
                if box.label != 0 or any(overlap(reach, other) for other in boxes if other is not box):
                    continue
                seen += 1
                red = redness(pixels)
                around = np.zeros_like(red, dtype=bool)
                top, left = max(int(box.top) - 2, 0), max(int(box.left) - 2, 0)
                around[top : int(box.bottom) + 3, left : int(box.right) + 3] = True
                rows, columns = np.nonzero((red > 40) & around)
                measured = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                assert np.abs(np.subtract(measured, box[1:])).max() <= 2
        assert seen > 20

    def test_classes_differ_by_colour(self) -> None:
        colours: dict[int, list[float]] = {0: [], 1: []}
        for pixels, boxes in scenes(30):
            for box in boxes:
                crop = pixels[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
                colours[box.label].append(float(redness(crop).mean()))
        assert min(colours[0]) > max(colours[1])

    def test_parked_cars_do_not_stand_in_each_other(self) -> None:
        for _, boxes in scenes(30):
            for i, one in enumerate(boxes):
                for other in boxes[i + 1 :]:
                    assert overlap(one, other) < 0.12 * overlap(one, one)

    def test_an_empty_scene_has_no_box_and_no_red(self) -> None:
        for pixels, boxes in scenes(10, empty=True):
            assert boxes == []
            assert redness(pixels).max() < 60

    @pytest.mark.parametrize("size", [32, 64, 200])
    def test_other_sizes_have_cars_of_the_same_share(self, size: int) -> None:
        drawn = [scene(np.random.default_rng(i), size) for i in range(4)]
        assert {image.size for image, _ in drawn} == {(size, size)}
        lengths = [max(box.right - box.left, box.bottom - box.top) / size for _, boxes in drawn for box in boxes]
        assert 0.25 < max(lengths) < 0.45


class TestDrawParking:
    def test_the_platform_reads_it(self, tmp_path: Path) -> None:
        yaml = draw_parking(tmp_path / "lot", images={"train": 10, "val": 4, "test": 3}, size=64)
        found = examine(str(yaml), "detect").dataset
        assert found.names == NAMES
        assert found.images == {"train": 10, "val": 4, "test": 3}
        assert {finding.code for finding in found.findings} <= {
            "split-val-small",
            "balance-class-few",
            "balance-uneven",
        }

    def test_labels_are_the_boxes_of_the_scene(self, tmp_path: Path) -> None:
        draw_parking(tmp_path, images={"train": 5}, size=SIZE, seed=3, empty_share=0)
        for index in range(5):
            _, boxes = scene(np.random.default_rng([3, index, *b"train"]), SIZE)
            lines = (tmp_path / f"labels/train/train_{index:04d}.txt").read_text().splitlines()
            for line, box in zip(lines, boxes, strict=True):
                label, x, y, w, h = map(float, line.split())
                edges = ((x - w / 2) * SIZE, (y - h / 2) * SIZE, (x + w / 2) * SIZE, (y + h / 2) * SIZE)
                assert (label, *edges) == pytest.approx(tuple(box), abs=1e-3)

    def test_same_arguments_same_bytes_other_seed_other_bytes(self, tmp_path: Path) -> None:
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            draw_parking(tmp_path / name, images={"train": 3, "val": 2}, size=64, seed=seed)
        a, b, c = (content_of(tmp_path / name) for name in "abc")
        assert a == b
        assert a.keys() == c.keys()
        assert all(a[name] != c[name] for name in a if name.endswith(".jpg"))

    def test_images_stay_when_more_are_asked_for(self, tmp_path: Path) -> None:
        draw_parking(tmp_path / "few", images={"val": 2}, size=64)
        draw_parking(tmp_path / "many", images={"train": 3, "val": 4}, size=64)
        few, many = content_of(tmp_path / "few"), content_of(tmp_path / "many")
        assert {name: many[name] for name in few if name != "data.yaml"} == {
            name: data for name, data in few.items() if name != "data.yaml"
        }

    @pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 2), (0.5, 10), (1.0, 20)])
    def test_share_of_empty_frames(self, tmp_path: Path, share: float, expected: int) -> None:
        draw_parking(tmp_path, images={"train": 20}, size=32, empty_share=share)
        labels = [file.read_text() for file in (tmp_path / "labels/train").iterdir()]
        drawn_without_cars = sum(not scene(np.random.default_rng([0, index, *b"train"]), 32)[1] for index in range(20))
        assert expected <= labels.count("") <= expected + drawn_without_cars

    def test_data_yaml_leads_to_the_files_from_anywhere(self, tmp_path: Path) -> None:
        """Without ``path`` Ultralytics and we take the file's own folder, also after the data set was moved."""
        draw_parking(tmp_path / "lot", images={"train": 2, "val": 1}, size=32)
        (tmp_path / "lot").rename(tmp_path / "moved")
        content = YAML(typ="safe").load(tmp_path / "moved/data.yaml")
        assert content == {"train": "images/train", "val": "images/val", "names": NAMES}
        with Image.open(tmp_path / "moved" / content["train"] / "train_0000.jpg") as image:
            assert image.size == (32, 32)

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("keep")
        with pytest.raises(UsageError, match="name another folder"):
            draw_parking(tmp_path)
        with pytest.raises(UsageError, match="name another folder"):
            draw_parking(tmp_path / "mine.txt")
        assert content_of(tmp_path) == {"mine.txt": b"keep"}


@pytest.mark.slow
def test_a_search_finds_no_scene_twice(parking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert examine(str(parking / "data.yaml"), "detect").leaks.groups == ()
