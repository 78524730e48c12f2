"""Leaks: what was planted is found, under its own name, and nothing else is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from yolosweep.data.duplicates.leak_summary import LeakReport, leak_findings
from yolosweep.data.duplicates.near_duplicates import connected_groups
from yolosweep.data.duplicates.sequences import sequences
from yolosweep.data.duplicates.thumbnails import signature_of
from yolosweep.data.model.dataset_items import ImageFacts, Item, LabelFile, Layout, Row
from yolosweep.data.model.finding_codes import CODES
from yolosweep.records import Finding, Severity

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"

SAME_FIELD = [("BloodImage_00037", "BloodImage_00038"), ("BloodImage_00386", "BloodImage_00391")]
"""Two fields of view of BCCD that were photographed twice, refocused or moved a little; each pair is in two splits."""


def photos(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the photos are not at {SHARED / name}")
    return SHARED / name


def scene(seed: int, size: int = 120) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.uniform(60, 190, (10, 10)).astype(np.float32)).resize((size, size), 3)
    values = np.asarray(coarse)[..., None] + rng.normal(0, 6, (size, size, 1)) + rng.uniform(-20, 20, 3)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def picture(file: Path) -> ImageFacts:
    with Image.open(file) as image:
        return ImageFacts(
            hashlib.sha256(file.read_bytes()).hexdigest(), *image.size, image.mode, 1, signature_of(image)
        )


def label_file(file: Path) -> LabelFile:
    rows = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        category, x, y, w, h = map(float, line.split())
        rows.append(Row(number, int(category), (x, y, w, h)))
    return LabelFile(hashlib.sha256(file.read_bytes()).hexdigest(), tuple(rows))


def found(root: Path, task: str = "detect") -> tuple[list[Finding], LeakReport]:
    """Read ``images/<split>`` and ``labels/<split>`` (classify: ``<split>/<class>``), as the gate would."""
    splits: dict[str, tuple[Item, ...]] = {}
    for split in ("train", "val", "test"):
        if task == "classify":
            files = sorted((root / split).glob("*/*"))
            items = tuple(Item(file, category=int(file.parent.name)) for file in files)
        else:
            files = sorted((root / "images" / split).glob("*"))
            items = tuple(Item(file, root / "labels" / split / f"{file.stem}.txt") for file in files)
        if items:
            splits[split] = items
    layout = Layout(task=task, source=root, root=root, names={0: "a", 1: "b"}, splits=splits)
    every = [item for items in splits.values() for item in items]
    labels = {item.label: label_file(item.label) for item in every if item.label and item.label.is_file()}
    return leak_findings(layout, {item.image: picture(item.image) for item in every}, labels)


def put(root: Path, split: str, name: str, image: Image.Image, rows: str = "0 0.5 0.5 0.2 0.2\n") -> Path:
    file = root / "images" / split / name
    label = root / "labels" / split / f"{file.stem}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    label.write_text(rows)
    return file


def plain_set(root: Path) -> Path:
    names = [
        f"{name}{index}.png" for index, name in enumerate(["tree", "house", "road", "sea", "hill", "cow", "car", "cup"])
    ]
    for index, name in enumerate(names):
        put(root, ("train", "val", "test", "train")[index % 4], name, scene(index))
    return root


def codes(findings: list[Finding]) -> dict[tuple[str, str | None], int]:
    return {(finding.code, finding.split): finding.count for finding in findings}


def test_a_clean_set_has_nothing_to_say(tmp_path: Path) -> None:
    findings, report = found(plain_set(tmp_path))
    assert findings == []
    assert report == LeakReport(
        shares={"val": 0, "test": 0},
        sequence_shares={"val": 0, "test": 0},
        scene_shares={"val": 0, "test": 0},
        pairs=(),
        groups=(),
    )


@pytest.mark.parametrize(
    ("split", "change", "code"),
    [
        ("val", lambda i: i, "leak-exact"),
        ("test", lambda i: i, "leak-exact"),
        ("val", ImageOps.mirror, "leak-near"),
        ("test", lambda i: i.resize((70, 70)), "leak-near"),
        ("train", lambda i: i, "duplicate-exact"),
        ("train", ImageOps.flip, "duplicate-near"),
    ],
    ids=["exact val", "exact test", "near val", "near test", "exact inside", "near inside"],
)
def test_one_picture_too_many(
    split: str, change: Callable[[Image.Image], Image.Image], code: str, tmp_path: Path
) -> None:
    root = plain_set(tmp_path)
    copy = put(root, split, "other.png", change(scene(0)))
    findings, report = found(root)
    assert codes(findings) == {(code, split): 1}
    assert findings[0].severity is CODES[code].severity
    assert findings[0].file is not None
    assert Path(findings[0].file).is_file()
    assert report.groups == (tuple(sorted([copy, root / "images" / "train" / "tree0.png"])),)
    if split != "train":
        assert report.shares[split] == pytest.approx(1 / 3)
        assert [(pair.first, pair.second.name) for pair in report.pairs] == [(copy, "tree0.png")]
    else:
        assert set(report.shares.values()) == {0}


def test_the_same_pixels_in_another_file_are_exact(tmp_path: Path) -> None:
    root = plain_set(tmp_path)
    put(root, "val", "other.bmp", scene(0))
    assert codes(found(root)[0]) == {("leak-exact", "val"): 1}


def test_val_in_test_is_a_leak_of_test_only(tmp_path: Path) -> None:
    root = plain_set(tmp_path)
    put(root, "test", "other.png", scene(1))
    findings, report = found(root)
    assert codes(findings) == {("leak-exact", "test"): 1}
    assert report.shares == {"val": 0, "test": pytest.approx(1 / 3)}


def test_a_val_that_is_train_leaks_wholly(tmp_path: Path) -> None:
    files = [put(tmp_path, "train", f"{name}.png", scene(index)) for index, name in enumerate("abc")]
    items = tuple(Item(file) for file in files)
    layout = Layout(
        task="detect", source=tmp_path, root=tmp_path, names={0: "a"}, splits={"train": items, "val": items}
    )
    findings, report = leak_findings(layout, {file: picture(file) for file in files}, {})
    assert codes(findings) == {("leak-exact", "val"): 3}
    assert report.shares == {"val": 1.0}
    assert [pair[:2] for pair in report.pairs] == [(file, file) for file in files]


def test_black_frames_are_no_copies_of_each_other_unless_they_are(tmp_path: Path) -> None:
    root = plain_set(tmp_path)
    put(root, "train", "black.png", Image.new("RGB", (50, 50)))
    put(root, "val", "dark.png", Image.new("RGB", (60, 60)))
    assert found(root)[0] == []
    put(root, "val", "night.png", Image.new("RGB", (50, 50)))
    assert codes(found(root)[0]) == {("leak-exact", "val"): 1}


def test_unreadable_pictures_are_left_to_others(tmp_path: Path) -> None:
    root = plain_set(tmp_path)
    file = put(root, "val", "other.png", scene(0))
    items = (Item(root / "images" / "train" / "tree0.png"), Item(file))
    layout = Layout(task="detect", source=root, root=root, names={}, splits={"train": items[:1], "val": items[1:]})
    bad = {item.image: replace_look(picture(item.image), f"{n}") for n, item in enumerate(items)}
    assert leak_findings(layout, bad, {})[0] == []
    assert leak_findings(layout, {}, {})[0] == []


def replace_look(read: ImageFacts, sha256: str) -> ImageFacts:
    return read._replace(sha256=sha256, signature="", fault="image-unreadable")


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        ("0 0.5 0.5 0.2 0.2\n", "1 0.5 0.5 0.2 0.2\n", True),
        ("0 0.5 0.5 0.2 0.2\n", "0 0.6 0.5 0.2 0.2\n", True),
        ("0 0.5 0.5 0.2 0.2\n", "", True),
        ("0 0.5 0.5 0.2 0.2\n", "0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.1 0.1\n", True),
        ("0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n", "1 0.1 0.1 0.1 0.1\n0 0.501 0.5 0.2 0.2\n", False),
        ("", "", False),
    ],
    ids=["class", "place", "background", "one more", "order and rounding", "both empty"],
)
def test_the_same_picture_labelled_in_two_ways(one: str, two: str, told: bool, tmp_path: Path) -> None:
    root = plain_set(tmp_path)
    put(root, "train", "one.png", scene(50), one)
    put(root, "train", "two.png", scene(50), two)
    findings = found(root)[0]
    assert ("duplicate-exact", "train") in codes(findings)
    assert ("duplicate-conflict" in {finding.code for finding in findings}) is told


@pytest.mark.parametrize("change", [lambda i: i, ImageOps.mirror], ids=["exact", "mirrored"])
def test_one_picture_in_two_class_folders(change: Callable[[Image.Image], Image.Image], tmp_path: Path) -> None:
    for index in range(6):
        file = tmp_path / ("train", "val")[index % 2] / str(index % 3 % 2) / f"{'abcdef'[index]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        scene(index).save(file)
    assert found(tmp_path, "classify")[0] == []
    change(scene(0)).save(tmp_path / "train" / "1" / "other.png")
    assert "duplicate-conflict" in {finding.code for finding in found(tmp_path, "classify")[0]}


def frame(image: Image.Image, step: int) -> Image.Image:
    """The next frames of a camera that moves slowly."""
    width, height = image.size
    moved = image.crop((step * 25, step * 15, width - 100 + step * 25, height - 60 + step * 15))
    return ImageEnhance.Brightness(moved).enhance(1 + step * 0.02)


@pytest.mark.parametrize(
    "names",
    [
        [f"clip_frame{index}" for index in range(8, 13)],
        [f"cam1_{index:06d}" for index in range(98, 103)],
        [f"DSC_{index:04d}" for index in range(5)],
        [f"frame_{index:04d}_left" for index in range(5)],
        [f"video-{index * 15:05d}" for index in range(5)],
        [f"clip_{index}_jpg.rf.{index:032x}" for index in range(5)],
        [f"20240131_12000{index}" for index in range(5)],
    ],
    ids=["clip", "camera", "photo", "left and right", "every 15th", "exported", "time"],
)
def test_frames_are_one_group(names: list[str], tmp_path: Path) -> None:
    burst = scene(90, 300)
    looks = {tmp_path / str(k % 3) / f"{name}.jpg": signature_of(frame(burst, k)) for k, name in enumerate(names)}
    others = {tmp_path / f"other_{k}.jpg": signature_of(scene(k)) for k in range(5)}
    assert sequences({**looks, **others}) == [tuple(sorted(looks))]


def test_numbers_alone_make_no_burst(tmp_path: Path) -> None:
    assert sequences({tmp_path / f"image_{k:04d}.jpg": signature_of(scene(k)) for k in range(100)}) == []


@pytest.mark.slow
def test_things_that_all_look_alike_are_no_burst_for_being_numbered(tmp_path: Path) -> None:
    light = np.asarray(scene(0).convert("L"), dtype=float)
    rng = np.random.default_rng(0)
    looks = {}
    for k in range(200):
        spots = np.kron(rng.normal(0, 18, (24, 24)), np.ones((5, 5)))
        looks[tmp_path / f"{k:04d}.jpg"] = signature_of(
            Image.fromarray(np.clip(light + spots, 0, 255).astype(np.uint8))
        )
    grouped = [file for group in sequences(looks) for file in group]
    assert len(grouped) <= 20


def test_alike_frames_far_apart_in_number_are_not_joined(tmp_path: Path) -> None:
    numbers = [1, 2, 3, 4, 5, 6, 500]
    images = [*(scene(k) for k in range(6)), frame(scene(0), 1)]
    assert sequences({tmp_path / f"x_{n}.jpg": signature_of(i) for n, i in zip(numbers, images, strict=True)}) == []


def test_augmented_copies_are_one_source_whatever_was_done_to_them(tmp_path: Path) -> None:
    looks = {tmp_path / "train" / f"a_jpg.rf.{k:032x}.jpg": signature_of(scene(k)) for k in range(3)}
    other = {tmp_path / "val" / "b_jpg.rf.00000000000000000000000000000001.jpg": signature_of(scene(9))}
    assert sequences({**looks, **other}) == [tuple(sorted(looks))]


@pytest.mark.parametrize("name", ["bccd", "bccd_tiny"])
@pytest.mark.slow
def test_no_false_alarm_on_real_photos(name: str) -> None:
    findings, report = found(photos(name))
    there = {file.stem for file in (photos(name) / "images").rglob("*.jpg")}
    real = [pair for pair in SAME_FIELD if there >= set(pair)]
    assert sorted(tuple(file.stem for file in sorted(group, key=lambda f: f.stem)) for group in report.groups) == real
    assert {finding.code for finding in findings} <= {"leak-near", "leak-sequence"}
    assert sum(finding.count for finding in findings) == len(real)


def damaged(image: Image.Image, kind: str) -> Image.Image:
    width, height = image.size
    return {
        "resized": lambda: image.resize((width // 2, height // 2)),
        "recompressed": lambda: image,
        "brightened": lambda: ImageEnhance.Brightness(image).enhance(1.3),
        "mirrored": lambda: ImageOps.mirror(image),
        "cropped": lambda: image.crop((width // 12, 0, width, height - height // 14)),
    }[kind]()


@pytest.mark.slow
def test_everything_planted_among_real_photos_is_found(tmp_path: Path) -> None:
    """Five exact, five near duplicates (one of each kind), and two bursts across splits."""
    source = photos("bccd")
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    before, _ = found(tmp_path)
    train = sorted((tmp_path / "images" / "train").glob("*.jpg"))
    planted = set()
    for index in range(5):
        copy = tmp_path / "images" / "val" / f"{'abcde'[index]}copy.jpg"
        shutil.copy(train[index * 7], copy)
        planted.add((copy, train[index * 7], "exact"))
    for index, kind in enumerate(["resized", "recompressed", "brightened", "mirrored", "cropped"]):
        copy = tmp_path / "images" / ("val", "test")[index % 2] / f"{kind}.jpg"
        with Image.open(train[index * 9 + 50]) as image:
            damaged(image, kind).save(copy, quality=50)
        planted.add((copy, train[index * 9 + 50], "near"))
    bursts = []
    for name, index in (("clip_a", 100), ("clip_b", 110)):
        with Image.open(train[index]) as image:
            # The field itself leaves the set, or its frames would be crops of it.
            still = image.convert("RGB").resize((960, 720))
        train[index].unlink()
        frames = []
        for step in range(6):
            split = ("train", "val", "test")[step % 3]
            moved = still.crop((step * 90, step * 50, 480 + step * 90, 400 + step * 50))
            frames.append(tmp_path / "images" / split / f"{name}_{step:03d}.jpg")
            moved.save(frames[-1])
        bursts.append(set(frames))
    findings, report = found(tmp_path)
    told = {pair for pair in report.pairs if pair.kind != "sequence"}
    known = {pair for pair in told if {pair.first.stem, pair.second.stem} in [set(pair) for pair in SAME_FIELD]}
    assert {(pair.first, pair.second, pair.kind) for pair in told - known} == planted
    assert {frozenset(group) for group in report.groups} >= {frozenset(burst) for burst in bursts}
    assert len(report.groups) == len(before) + 12
    assert report.shares["val"] == pytest.approx((5 + 3 + 1) / (60 + 8 + 4))
    assert report.sequence_shares == {
        "val": pytest.approx(4 / (60 + 8 + 4)),
        "test": pytest.approx((4 + 1) / (60 + 2 + 4)),
    }
    assert {(f.code, f.severity) for f in findings} == {
        ("leak-exact", Severity.ERROR),
        ("leak-near", Severity.ERROR),  # 5.6 % of val
        ("leak-near", Severity.WARNING),  # 4.5 % of test
        ("leak-sequence", Severity.WARNING),
        ("duplicate-conflict", Severity.WARNING),
    }


def test_joining_goes_through_others(tmp_path: Path) -> None:
    _, report = found(plain_set(tmp_path))
    assert connected_groups(report.pairs) == []
    assert replace(report, groups=((tmp_path,),)) != report
