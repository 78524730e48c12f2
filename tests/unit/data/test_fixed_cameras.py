"""Fixed cameras: the same place for weeks is a scene, not a copy; its split is by time and a sweep can start on it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image
from tests.tools.parking_lot import draw_parking_lot

from yolosweep import api
from yolosweep.data.duplicates.capture_times import camera_of, capture_time
from yolosweep.data.duplicates.near_duplicates import NEAR, SCENE, Pair, stars
from yolosweep.data.prepare.split_keys import keyed_groups
from yolosweep.data.prepare.split_plan import planned, refuse_useless
from yolosweep.data.prepare.time_cuts import split_by_time
from yolosweep.errors import DataError, UsageError

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def hashes(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def lot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_parking_lot(tmp_path_factory.mktemp("lot") / "lot", cameras=2, days=21, count=84, val_days=6)


@pytest.mark.slow
def test_a_parking_lot_is_checked_split_and_checked_again(lot: Path, tmp_path: Path) -> None:
    before = hashes(lot.parent)
    checked = api.check(lot)
    assert checked.is_trainable
    assert [(f.code, f.count) for f in checked.findings if f.code.startswith(("leak", "duplicate"))] == [
        ("leak-scene", checked.splits["val"].images)
    ]
    assert (checked.splits["val"].leaking, checked.splits["val"].same_scene) == (0, 1)
    split = api.split(lot, tmp_path / "split")
    assert "by time" in split.notes[0]
    assert {name: round(count / 84, 1) for name, count in split.images.items()} == SHARES
    assert set(split.classes["train"]) >= {"car", "van"}
    lists = {name: (tmp_path / "split" / f"{name}.txt").read_text().splitlines() for name in SHARES}
    days = {name: {capture_time(Path(line)).date() for line in lines} for name, lines in lists.items()}  # type: ignore[union-attr]
    assert max(days["train"]) < min(days["val"]) <= max(days["val"]) < min(days["test"])
    again = api.check(split.data)
    assert again.is_trainable
    assert {f.code for f in again.findings if f.code.startswith(("leak", "duplicate"))} == {"leak-scene"}
    assert hashes(lot.parent) == before


def test_a_copy_in_a_parking_lot_is_still_a_copy(lot: Path, tmp_path: Path) -> None:
    files = sorted((lot.parent / "images").glob("cam1*"))[:10]
    for number, file in enumerate(files):
        (tmp_path / ("val" if number > 7 else "train")).mkdir(exist_ok=True)
        with Image.open(file) as image:
            image.save(tmp_path / ("val" if number > 7 else "train") / file.name, quality=95)
    with Image.open(files[2]) as image:
        image.convert("L").save(tmp_path / "val" / "cam1_2026-05-01_0800.jpg", quality=85)
    (tmp_path / "data.yaml").write_text("train: train\nval: val\nnames: {0: car}\n")
    checked = api.check(tmp_path / "data.yaml")
    assert {f.code: f.count for f in checked.findings if f.code.startswith("leak")} == {"leak-near": 1, "leak-scene": 2}


def test_a_group_is_never_joined_by_a_chain() -> None:
    assert list(stars([(0, 1), (1, 2), (2, 3), (3, 4)])) == [(1, [0, 2]), (3, [4])]
    assert list(stars([(0, 1), (1, 2), (2, 3)], lambda one, others: others)) == [(1, [0, 2, 3])]


def dated(day: int, hour: int = 8, camera: int = 1) -> Path:
    return Path(f"/lot/cam{camera}_2026-03-{day:02d}_{hour:02d}00.jpg")


def test_the_order_of_the_splits_follows_the_classes() -> None:
    files = [dated(day) for day in range(1, 31)]
    late = set(files[27:])
    split = split_by_time(files, [], lambda file: {0, 1} if file in late else {0}, SHARES, 0)
    assert late & {*split["train"]}
    assert late & {*split["val"]}


def test_copies_stay_together_when_one_recording_is_cut() -> None:
    files = [Path(f"/clip/frame_{number:04d}.jpg") for number in range(100)]
    pairs = [Pair(files[0], file, "sequence") for file in files[1:]] + [Pair(files[3], files[90], NEAR)]
    plan = planned(files, pairs, lambda file: {0}, SHARES, 0, None)
    home = {file: name for name, part in plan.split.items() for file in part}
    assert home[files[3]] == home[files[90]]
    assert {name: len(part) for name, part in plan.split.items()} == pytest.approx(
        {"train": 70, "val": 20, "test": 10}, abs=6
    )
    assert "one recording" in plan.notes[0]


@pytest.mark.parametrize(
    ("by", "count"), [("camera", 2), ("folder", 1), (r"_(\d{4}-\d\d-\d\d)_", 4), ("groups.csv", 2)]
)
def test_users_name_what_stays_together(by: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [dated(day, camera=camera) for day in range(1, 5) for camera in (1, 2)]
    monkeypatch.chdir(tmp_path)
    Path("groups.csv").write_text("".join(f"{file.name},{'ab'[number % 2]}\n" for number, file in enumerate(files)))
    groups = keyed_groups(files, by, [])
    assert len(groups) == count
    assert sorted(file for group in groups for file in group) == sorted(files)


@pytest.mark.parametrize("by", ["(", "nothing-like-this"])
def test_a_key_that_does_not_fit_is_refused(by: str) -> None:
    with pytest.raises(UsageError, match="--by"):
        keyed_groups([dated(1)], by, [])


def test_one_place_without_times_is_told(tmp_path: Path) -> None:
    files = [Path(f"/lot/{name}.jpg") for name in "abcdefghijklmnopqrst"]
    pairs = [Pair(files[0], file, SCENE) for file in files[1:]]
    plan = planned(files, pairs, lambda file: {0}, SHARES, 0, None)
    assert "hold no times" in plan.notes[0]


def test_a_share_that_a_group_makes_unreachable_is_noted() -> None:
    files = [Path(f"/set/{name}.jpg") for name in "abcdefghijklmnopqrst"]
    pairs = [Pair(files[0], file, NEAR) for file in files[1:18]]
    plan = planned(files, pairs, lambda file: {0}, SHARES, 0, None)
    assert {name: len(part) for name, part in plan.split.items()} == {"train": 18, "val": 1, "test": 1}
    assert plan.notes[0].startswith("val has 1 of 20 images (5%) instead of 20%")
    assert "has 18" in plan.notes[0]


def test_a_class_that_no_training_would_see_is_refused() -> None:
    files = [dated(day) for day in (1, 2)]
    plan = planned(files, [], lambda file: {0}, {"train": 0.5, "val": 0.5}, 0, None)
    with pytest.raises(DataError, match="1 of 2 classes \\('van'\\) would be outside of train only"):
        refuse_useless(plan, {"train": {0: 1}, "val": {0: 1, 1: 1}}, {0: "car", 1: "van"})


def test_a_split_that_no_sweep_could_use_is_refused(lot: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would be empty"):
        api.split(lot, tmp_path / "out", by="folder")
    assert not (tmp_path / "out").exists()


def test_names_tell_cameras_and_times() -> None:
    assert camera_of(dated(3)) == camera_of(dated(9, 12)) != camera_of(dated(3, camera=2))
    assert camera_of(Path("/a/frame_0012_cam1.jpg")) == camera_of(Path("/a/frame_0750_cam1.jpg"))
    assert str(capture_time(Path("20240131_120001.jpg"))) == "2024-01-31 12:00:01"
    assert capture_time(Path("IMG_1234.jpg")) is None
