"""Scanned labels: once per node for every list of files, checked before use, and nothing beside the user's data.

Run as a script, this file is one of several processes that scan the same data at once.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolosweep.backends import trainer_for
from yolosweep.backends.ultralytics import label_cache
from yolosweep.backends.ultralytics.training_environment import enter, scan_findings
from yolosweep.records import Ending, TrialRequest, Verdict

pytestmark = pytest.mark.slow


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept scans, empty; this process's findings forgotten."""
    enter()
    scan_findings()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "yolosweep" / "labels"


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The image files that were really opened by a scan."""
    import ultralytics.data.utils as data_utils

    check = data_utils.check_image
    seen: list[str] = []
    monkeypatch.setattr(data_utils, "check_image", lambda file: seen.append(str(file)) or check(file))
    return seen


def picture(file: Path, number: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 40, 3), number, np.uint8)).save(file)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight images with a box each, and one with a label that cannot be."""
    folder = tmp_path / "data" / "images"
    (tmp_path / "data" / "labels").mkdir(parents=True)
    for number in range(9):
        picture(folder / f"{number}.png", number)
        centre = 0.5 if number < 8 else 1.5
        (tmp_path / "data" / "labels" / f"{number}.txt").write_text(f"{number % 2} {centre} 0.5 0.{number + 1} 0.2\n")
    return folder


def detect(images: Path | list[str], names: int = 2, **more: Any) -> Any:
    from ultralytics.data.dataset import YOLODataset

    data = {"names": dict(enumerate("abc"[:names]))}
    path = images
    if isinstance(images, list):  # Ultralytics takes a list as a file
        path = Path(images[0]).parents[2] / f"list-{len(images)}.txt"
        path.write_text("\n".join(images))
    return YOLODataset(img_path=str(path), imgsz=32, data=data, augment=False, **more)


def classify(root: Path, **more: Any) -> Any:
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import ClassificationDataset

    return ClassificationDataset(str(root), get_cfg(overrides={"imgsz": 32, **more}), augment=False)


def boxes(dataset: Any) -> list[tuple[str, list[list[float]]]]:
    return [(label["im_file"], label["bboxes"].tolist()) for label in dataset.labels]


def test_a_second_data_set_does_not_scan(images: Path, labels: Path, scanned: list[str]) -> None:
    first = detect(images)
    assert len(scanned) == 9
    findings = scan_findings()
    assert [text for text in findings if "8.png" in text]
    second = detect(images)
    assert len(scanned) == 9
    assert boxes(second) == boxes(first)
    assert len(boxes(first)) == 8
    assert scan_findings() == findings, "a finding is told by every training, scanned or not"


def test_lists_over_the_same_labels_do_not_collide(images: Path, labels: Path, scanned: list[str]) -> None:
    files = sorted(map(str, images.iterdir()))
    lists: list[Callable[[], Any]] = [
        lambda: detect(images),
        lambda: detect(images, fraction=0.5),
        lambda: detect(files[:3]),
        lambda: detect(files[3:]),
        lambda: detect(images, names=3),
        lambda: detect(images, single_cls=True),
    ]
    first = [boxes(make()) for make in lists]
    count = len(scanned)
    assert [boxes(make()) for make in lists] == first
    assert len(scanned) == count
    assert len(list(labels.glob("*.labels"))) == len(lists)


def test_changed_data_are_scanned_again(images: Path, labels: Path, scanned: list[str]) -> None:
    detect(images)
    (images.parent / "labels" / "0.txt").write_text("1 0.25 0.5 0.125 0.25\n")
    assert boxes(detect(images))[0][1] == [[0.25, 0.5, 0.125, 0.25]]
    assert len(scanned) == 18


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


class Canary:
    """A pickle that leaves a file where it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("damage", [cut, alter, lambda path: os.truncate(path, 0)], ids=["cut", "altered", "empty"])
def test_a_damaged_scan_is_refused(
    damage: Callable[[Path], None], images: Path, labels: Path, scanned: list[str]
) -> None:
    first = boxes(detect(images))
    (kept,) = labels.glob("*.labels")
    damage(kept)
    assert boxes(detect(images)) == first
    assert len(scanned) == 18
    assert boxes(detect(images)) == first
    assert len(scanned) == 18


def test_a_pickle_put_in_its_place_is_not_opened(images: Path, labels: Path, tmp_path: Path) -> None:
    detect(images)
    (kept,) = labels.glob("*.labels")
    canary = pickle.dumps(Canary(tmp_path / "sung"))
    for content in (canary, kept.read_bytes()[:51] + canary):
        kept.write_bytes(content)
        detect(images)
    assert not (tmp_path / "sung").exists()
    pickle.loads(canary)
    assert (tmp_path / "sung").exists(), "the canary cannot sing at all"


def test_nothing_is_read_or_written_beside_the_data(images: Path, labels: Path, tmp_path: Path) -> None:
    root = tmp_path / "sorted"
    for number in range(4):
        picture(root / "ab"[number % 2] / f"{number}.png", number)
    canary = np.array(Canary(tmp_path / "sung"), dtype=object)
    beside = [images.parent / "labels.cache", root.with_suffix(".cache")]
    for file in beside:
        with file.open("wb") as stream:
            np.save(stream, canary)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    detect(images)
    classify(root)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert {file: content for file, content in after.items() if not file.is_relative_to(tmp_path / "cache")} == before
    assert not (tmp_path / "sung").exists()
    np.load(beside[0], allow_pickle=True)
    assert (tmp_path / "sung").exists(), "the canary cannot sing at all"


def test_class_folders_are_scanned_once(tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ultralytics.data.dataset as dataset

    scanned: list[str] = []
    verify = dataset.verify_image
    monkeypatch.setattr(dataset, "verify_image", lambda given: scanned.append(given[0][0]) or verify(given))
    root = tmp_path / "sorted"
    for number in range(8):
        picture(root / "ab"[number % 2] / f"{number}.png", number)
    (root / "b" / "9.png").write_bytes(b"no image")
    first = classify(root).samples
    assert (len(first), len(scanned)) == (8, 9)
    findings = scan_findings()
    assert [text for text in findings if "9.png" in text]
    assert classify(root).samples == first
    assert scan_findings() == findings
    part = classify(root, fraction=0.5).samples
    count = len(scanned)
    assert [classify(root).samples, classify(root, fraction=0.5).samples] == [first, part]
    assert len(scanned) == count
    picture(root / "b" / "9.png", 9)
    assert len(classify(root).samples) == 9


@pytest.fixture
def split_in_two(images: Path) -> Path:
    """A data set of the images, train and val."""
    file = images.parent / "data.yaml"
    file.write_text(f"path: {images.parent}\ntrain: images\nval: images\nnames: [a, b]\n")
    return file


@pytest.fixture
def sorted_in_two(tmp_path: Path) -> Path:
    """Class folders, train and val."""
    for number in range(12):
        picture(tmp_path / "sorted" / ("train" if number < 8 else "val") / "ab"[number % 2] / f"{number}.png", number)
    return tmp_path / "sorted"


@pytest.mark.parametrize(
    ("task", "model", "data", "settings"),
    [
        ("detect", "yolo11n.yaml", "split_in_two", {}),
        ("detect", "yolo11n.yaml", "split_in_two", {"fraction": 0.5, "single_cls": True}),
        ("classify", "yolo11n-cls.yaml", "sorted_in_two", {}),
    ],
    ids=["detect", "part", "classify"],
)
def test_a_training_on_a_machine_that_was_prepared_scans_nothing(
    task: str, model: str, data: str, settings: dict[str, Any], tmp_path: Path, labels: Path, scanned: list[str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    asked = TrialRequest(
        sweep="run", trial="t0000", number=0, task=task, model=model, data=str(request.getfixturevalue(data)), asked={},
        settings={"epochs": 1, "imgsz": 32, "batch": 4, "plots": False, "verbose": False, **settings}, identity="i",
        metric="metrics/accuracy_top1" if task == "classify" else "metrics/mAP50-95(B)", folder=str(tmp_path / "run"),
    )  # fmt: skip
    trainer = trainer_for(model)
    trainer.prepare(asked)
    kept, count = set(labels.glob("*.labels")), len(scanned)
    assert kept
    assert count
    record = trainer.train(asked, lambda row, checkpoint: Verdict.CONTINUE, lambda: True)  # until its first batch
    assert record.ending is Ending.CANCELLED, record.reason
    assert len(scanned) == count
    assert set(labels.glob("*.labels")) == kept
    assert any("8.png" in note for note in record.notes) is (task == "detect")


def test_a_scan_that_cannot_be_kept_still_counts(
    images: Path, labels: Path, scanned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(label_cache, "write_atomic", full)
    assert len(boxes(detect(images))) == 8
    assert len(boxes(detect(images))) == 8
    assert len(scanned) == 18


def test_old_scans_are_forgotten(images: Path, labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_cache, "_KEPT", 2)
    files = sorted(map(str, images.iterdir()))
    kept = []
    for number in range(3):
        detect(files[number:8])
        new = set(labels.glob("*.labels")) - set(kept)
        kept += sorted(new, key=lambda path: path.stat().st_mtime_ns)
        for age, path in enumerate(kept):
            if path.exists():
                os.utime(path, ns=(age + 1, age + 1))
    assert [path.exists() for path in kept] == [False, True, True]


def test_processes_that_start_at_once_share_one_scan(images: Path, labels: Path, tmp_path: Path) -> None:
    log = tmp_path / "scanned.txt"
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(images), str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 8
    assert sorted(log.read_text().split()) == sorted(map(str, images.iterdir()))


def one_of_several(images: Path, log: Path) -> None:
    enter()
    import ultralytics.data.utils as data_utils

    check = data_utils.check_image

    def noted(file: str) -> Any:
        with log.open("a") as stream:
            stream.write(f"{file}\n")
        return check(file)

    data_utils.check_image = noted
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(boxes(detect(images))), flush=True)


if __name__ == "__main__":
    one_of_several(Path(sys.argv[1]), Path(sys.argv[2]))
