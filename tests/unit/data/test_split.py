"""A split made for people who have none: nothing lost, nothing separated, every class where it can be."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from yolosweep.data.duplicates.thumbnails import signature_of
from yolosweep.data.layout.unsplit_folder import folder_layout
from yolosweep.data.model.dataset_items import ImageFacts, Item, LabelFile, Layout, Row
from yolosweep.data.prepare.dataset_split import SHARES, make_split
from yolosweep.data.prepare.split_writer import SplitResult, split_dataset, write_split
from yolosweep.errors import DataError, UsageError


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[set[int]], list[list[int]]]:
    """The classes of each item, and groups that may overlap."""
    classes = draw(st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=1, max_size=60))
    item = st.integers(0, len(classes) - 1)
    groups = draw(st.lists(st.lists(item, min_size=1, max_size=5), max_size=8))
    return classes, groups


shares = st.fixed_dictionaries({"train": st.floats(0.1, 1), "val": st.floats(0.1, 1), "test": st.floats(0, 1)})


def split_of(split: Mapping[str, list[int]]) -> dict[int, str]:
    return {item: name for name, items in split.items() for item in items}


@settings(deadline=None)
@given(sets(), shares, st.integers(0, 5))
def test_every_item_is_in_one_split_and_no_group_is_separated(
    drawn: tuple[list[set[int]], list[list[int]]], shares: dict[str, float], seed: int
) -> None:
    classes, groups = drawn
    items = list(range(len(classes)))
    split = make_split(items, groups, classes.__getitem__, shares, seed)
    assert list(split) == list(shares)
    assert sorted(item for part in split.values() for item in part) == items
    assert all(part == sorted(part) for part in split.values())
    assert all(len({split_of(split)[item] for item in group}) == 1 for group in groups)
    assert split == make_split(items, groups, classes.__getitem__, shares, seed)
    assert shares["test"] or not split["test"]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=30, max_size=120),
    st.lists(st.integers(1, 6), max_size=8),
    shares.filter(lambda shares: shares["test"] > 0.1),
    st.integers(0, 5),
)
@pytest.mark.slow
def test_sizes_are_right_within_the_largest_group(
    classes: list[int], sizes: list[int], shares: dict[str, float], seed: int
) -> None:
    starts = np.cumsum([0, *sizes])
    groups = [list(range(a, min(b, len(classes)))) for a, b in pairwise(starts)]
    split = make_split(range(len(classes)), groups, lambda item: {classes[item]}, shares, seed)
    largest = max(map(len, groups), default=1)
    for name, share in shares.items():
        # A class that only just reaches every split may keep up to one group of each class where it is.
        assert abs(len(split[name]) - len(classes) * share / sum(shares.values())) <= largest + 4


@given(st.integers(3, 30), st.integers(0, 20))
@pytest.mark.slow
def test_a_rare_class_is_in_every_split_if_there_is_enough_of_it(rare: int, seed: int) -> None:
    split = make_split(range(200), [], lambda item: {1} if item < rare else {0}, SHARES, seed)
    assert all(any(item < rare for item in part) for part in split.values())


@pytest.mark.parametrize(("rare", "where"), [(1, {"train"}), (2, {"train", "val"})])
def test_too_few_of_a_class_go_to_the_larger_splits(rare: int, where: set[str]) -> None:
    split = make_split(range(50), [], lambda item: {1} if item < rare else {0}, SHARES, 0)
    assert {split_of(split)[item] for item in range(rare)} == where


def test_classes_and_empty_images_are_spread_by_their_shares() -> None:
    classes = [{0}] * 500 + [{0, 1}] * 300 + [{2}] * 100 + [set()] * 100
    split = make_split(range(1000), [], classes.__getitem__, SHARES, 3)
    for name, share in SHARES.items():
        part = split[name]
        assert len(part) == pytest.approx(1000 * share, abs=1)
        for low, high in ((0, 500), (500, 800), (800, 900), (900, 1000)):
            assert sum(low <= item < high for item in part) == pytest.approx((high - low) * share, abs=2)


def test_another_seed_is_another_split() -> None:
    one, two = (make_split(range(100), [], lambda item: {0}, SHARES, seed) for seed in (0, 1))
    assert one != two
    assert [len(part) for part in one.values()] == [len(part) for part in two.values()] == [70, 20, 10]


def test_nothing_to_split_is_three_empty_lists() -> None:
    assert make_split([], [], lambda item: set(), SHARES) == {"train": [], "val": [], "test": []}


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": 1.0, "val": -0.1}, {"train": float("nan")}])
def test_shares_that_make_no_sense_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="shares"):
        make_split([1, 2], [], lambda item: {0}, shares)


def scene(seed: int, size: int = 160) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.uniform(60, 190, (10, 10)).astype(np.float32)).resize((size, size), 3)
    values = np.asarray(coarse)[..., None] + rng.normal(0, 6, (size, size, 1))
    return Image.fromarray(np.clip(values.repeat(3, 2), 0, 255).astype(np.uint8))


def picture(file: Path) -> ImageFacts:
    with Image.open(file) as image:
        return ImageFacts(
            hashlib.sha256(file.read_bytes()).hexdigest(), *image.size, image.mode, 1, signature_of(image)
        )


def bursts(folder: Path, count: int = 8, frames: int = 5) -> list[set[str]]:
    """Draw bursts of a moving camera, every second one with an object of class 1; return their file names."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    names = []
    for clip in range(count):
        names.append({f"clip{'abcdefghijklmnop'[clip]}_{step:04d}.jpg" for step in range(frames)})
        for step, name in enumerate(sorted(names[-1])):
            moved = scene(clip, 240).crop((step * 12, step * 6, 160 + step * 12, 120 + step * 6))
            ImageEnhance.Brightness(moved).enhance(1 + 0.02 * step).save(folder / "images" / name)
            label = folder / "labels" / name.replace(".jpg", ".txt")
            label.write_text(f"{clip % 2} 0.5 0.5 0.2 0.2\n")
    return names


def read(layout: Layout) -> tuple[dict[Path, ImageFacts], dict[Path, LabelFile]]:
    labels = {}
    for item in layout.splits["train"]:
        if item.label is not None:
            rows = tuple(
                Row(number, int(line.split()[0]), (0.5, 0.5, 0.2, 0.2))
                for number, line in enumerate(item.label.read_text().splitlines(), 1)
            )
            labels[item.label] = LabelFile(hashlib.sha256(item.label.read_bytes()).hexdigest(), rows)
    return {item.image: picture(item.image) for item in layout.splits["train"]}, labels


def split(folder: Path, out: Path, task: str = "detect", **more: int) -> SplitResult:
    layout = folder_layout(folder, task)
    return split_dataset(layout, *read(layout), out, **more)


def listed(out: Path) -> dict[str, set[str]]:
    return {file.stem: {Path(line).name for line in file.read_text().splitlines()} for file in out.glob("*.txt")}


@pytest.mark.slow
def test_a_folder_without_a_split_gets_one(tmp_path: Path) -> None:
    names = bursts(tmp_path / "set", 10)
    before = sorted((tmp_path / "set").rglob("*"))
    result = split(tmp_path / "set", tmp_path / "out")
    lists = listed(tmp_path / "out")
    assert result.data == tmp_path / "out" / "data.yaml"
    # Five bursts of each class: one of each in val and test, so that no split lacks a class.
    assert result.images == {"train": 30, "val": 10, "test": 10} == {name: len(files) for name, files in lists.items()}
    assert (result.groups, result.largest, result.grouped) == (10, 5, 50)
    assert all(sum(bool(burst & files) for files in lists.values()) == 1 for burst in names)
    assert result.missing == {}
    assert result.classes == {"train": {0: 15, 1: 15}, "val": {0: 5, 1: 5}, "test": {0: 5, 1: 5}}
    content = json.loads(result.data.read_text())
    assert content["names"] == {"0": "class_0", "1": "class_1"}
    assert {key: content[key] for key in ("path", "train", "val", "test")} == {
        "path": str(tmp_path / "set"),
        **{name: str(tmp_path / "out" / f"{name}.txt") for name in ("train", "val", "test")},
    }
    assert all(Path(line).is_file() for line in (tmp_path / "out" / "val.txt").read_text().splitlines())
    assert sorted((tmp_path / "set").rglob("*")) == before


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    bursts(tmp_path / "set", 6, 2)
    for name, seed in (("a", 1), ("b", 1), ("c", 5)):
        split(tmp_path / "set", tmp_path / name, seed=seed)
    assert listed(tmp_path / "a") == listed(tmp_path / "b") != listed(tmp_path / "c")


@pytest.mark.parametrize("kind", ["file", "full folder"])
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    bursts(tmp_path / "set", 3, 1)
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("x")
    else:
        out.mkdir()
        (out / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not an empty folder"):
        split(tmp_path / "set", out)
    assert {file.name for file in out.rglob("*")} <= {"mine.txt"}


def test_a_name_with_a_line_break_cannot_be_listed(tmp_path: Path) -> None:
    layout = Layout(task="detect", source=tmp_path, root=tmp_path, names={0: "a"}, splits={})
    with pytest.raises(DataError, match="line break"):
        write_split(tmp_path / "out", layout, {"train": [Item(tmp_path / "a\nb.jpg")]})
    assert not (tmp_path / "out").exists()


def test_images_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    bursts(tmp_path / "set", 6, 1)
    layout = folder_layout(tmp_path / "set", "detect")
    pictures, labels = read(layout)
    bad = layout.splits["train"][2].image
    pictures[bad] = ImageFacts("0" * 64, fault="image-unreadable")
    result = split_dataset(layout, pictures, labels, tmp_path / "out")
    assert result.left_out == (bad,)
    assert bad.name not in set().union(*listed(tmp_path / "out").values())
    with pytest.raises(DataError, match="no readable image"):
        split_dataset(layout, {}, labels, tmp_path / "other")


def test_class_folders_become_a_view_of_links(tmp_path: Path) -> None:
    for index in range(24):
        file = tmp_path / "set" / ("cat", "dog", "empty")[index % 2] / ("a", "b")[index % 4 // 2] / f"{index // 4}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        scene(index).save(file)
    (tmp_path / "set" / "empty").mkdir()
    result = split(tmp_path / "set", tmp_path / "out", "classify")
    links = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    given = {file.stat().st_ino: file for file in (tmp_path / "set").rglob("*.png")}
    assert result.data == tmp_path / "out"
    assert {link.stat().st_ino for link in links} == set(given)
    assert len(links) == 24
    assert all(link.parent.name == given[link.stat().st_ino].parent.parent.name for link in links)
    for name in ("train", "val", "test"):
        assert sorted(folder.name for folder in (tmp_path / "out" / name).iterdir()) == ["cat", "dog"]
        assert set(result.classes[name]) == {0, 1}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"labels/a.txt": "0 .5 .5 .1 .1\n3 .5 .5 .1 .1\n"}, ["class_0", "class_1", "class_2", "class_3"]),
        ({"labels/a.txt": "1 .5 .5 .1 .1\n", "labels/classes.txt": "cat\r\ndog\r\n\r\n"}, ["cat", "dog"]),
        ({"labels/a.txt": "0 .5 .5 .1 .1\n", "classes.txt": "\ufeffkatze\n"}, ["katze"]),
        ({"labels/a.txt": "\ufeff2,.5,.5,.1,.1\nnan 1\n-1 2\n\n"}, ["class_0", "class_1", "class_2"]),
    ],
    ids=["numbers", "classes beside labels", "classes beside images", "odd lines"],
)
def test_names_of_a_bare_folder(files: dict[str, str], names: list[str], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    scene(0).save(tmp_path / "images" / "a.jpg")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    layout = folder_layout(tmp_path, "detect")
    assert layout.names == dict(enumerate(names))
    assert layout.splits == {"train": (Item(tmp_path / "images" / "a.jpg", tmp_path / "labels" / "a.txt"),)}
    named = folder_layout(tmp_path, "detect", {0: "x"})
    assert named.names == {0: "x"}
    assert not named.findings


@pytest.mark.parametrize(
    ("task", "made", "told"),
    [
        ("detect", [], "there are no images"),
        ("detect", ["a.jpg"], "no label file was found for the 1 images"),
        ("classify", ["cat/a.jpg"], "has 1 folders with images"),
    ],
)
def test_a_bare_folder_that_is_not_enough(task: str, made: list[str], told: str, tmp_path: Path) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene(0).save(tmp_path / name)
    with pytest.raises(DataError, match=told):
        folder_layout(tmp_path, task)
    with pytest.raises(DataError, match="is not a folder"):
        folder_layout(tmp_path / "gone", task)


def test_a_link_that_leads_back_does_not_hang(tmp_path: Path) -> None:
    bursts(tmp_path / "set", 2, 1)
    os.symlink(tmp_path / "set", tmp_path / "set" / "images" / "round")
    assert len(folder_layout(tmp_path / "set", "detect").splits["train"]) == 2


@pytest.mark.slow
def test_no_burst_leaks_where_autosplit_leaks(tmp_path: Path) -> None:
    from tests.bench.leaks import leak_of_both

    ours, theirs = leak_of_both(tmp_path)
    assert ours == 0
    assert theirs > 0.5


@pytest.mark.slow
def test_ultralytics_reads_what_was_written(tmp_path: Path) -> None:
    from ultralytics.data.utils import check_cls_dataset, check_det_dataset

    bursts(tmp_path / "set", 6, 1)
    result = split(tmp_path / "set", tmp_path / "out")
    data = check_det_dataset(str(result.data))
    assert data["names"] == {0: "class_0", 1: "class_1"}
    assert {name: Path(data[name]) for name in result.images} == {
        name: tmp_path / "out" / f"{name}.txt" for name in result.images
    }
    for index in range(12):
        file = tmp_path / "classes" / ("cat", "dog")[index % 2] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        scene(index).save(file)
    data = check_cls_dataset(split(tmp_path / "classes", tmp_path / "view", "classify").data)
    assert data["names"] == {0: "cat", 1: "dog"}
    assert Path(data["val"]) == tmp_path / "view" / "val"
