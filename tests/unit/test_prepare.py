"""Reading what the user named as data: resolved, counted, fingerprinted; nothing of it changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from yolosweep.data import inspect_dataset, prepare_dataset
from yolosweep.errors import DataError
from yolosweep.ledger import RunFolder


def make_set(folder: Path, yaml: str = "train: images/train\nval: images/val\nnames: [a, b]\n") -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (16, 16), (index * 9, 0, 0)).save(folder / "images" / split / f"{index}.png")
            (folder / "labels" / split / f"{index}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_text(yaml)
    return folder / "data.yaml"


def fingerprint(path: Path) -> str:
    return inspect_dataset(str(path), "detect").fingerprint


def test_a_data_yaml_is_resolved_and_nothing_beside_it_changes(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    before = sorted(p for p in (tmp_path / "set").rglob("*"))
    folder = RunFolder.create(tmp_path / "runs", "x")
    dataset = prepare_dataset(str(source), "detect", folder)
    assert dataset.images == {"train": 3, "val": 3}
    assert dataset.names == {0: "a", 1: "b"}
    written = json.loads(Path(dataset.train_on).read_text())
    assert written["train"] == [str(tmp_path / "set" / "images" / "train")]
    assert json.loads((folder.dataset / "manifest.json").read_text())["fingerprint"] == dataset.fingerprint
    assert sorted(p for p in (tmp_path / "set").rglob("*")) == before


def test_the_fingerprint_follows_the_content_not_the_place(tmp_path: Path) -> None:
    first = make_set(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "moved")
    assert fingerprint(first) == fingerprint(tmp_path / "moved" / "data.yaml")
    (tmp_path / "moved" / "labels" / "train" / "0.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    assert fingerprint(first) != fingerprint(tmp_path / "moved" / "data.yaml")


def test_a_class_renamed_is_another_dataset(tmp_path: Path) -> None:
    first = make_set(tmp_path / "a")
    before = fingerprint(first)
    first.write_text(first.read_text().replace("[a, b]", "[a, c]"))
    assert fingerprint(first) != before


@pytest.mark.parametrize(
    "yaml",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: a, 1: b}\n",
        "path: /home/somebody/else\ntrain: images/train\nval: images/val\nnames: [a, b]\n",
        "train: ../images/train\nval: ../images/val\nnames: [a, b]\nnc: 2\n",
        "train: [images/train]\nvalidation: images/val\nnames: [a, b]\ndownload: rm -rf /\n",
        "train: list.txt\nval: images/val\nnames: ['no', 'yes']\n",
        "\ufefftrain: images/train\r\nval: images/val\r\nnc: 2\r\n",
    ],
)
def test_layouts_people_really_have(tmp_path: Path, yaml: str) -> None:
    source = make_set(tmp_path / "set", yaml)
    (tmp_path / "set" / "list.txt").write_text("".join(f"./images/train/{i}.png\n" for i in range(3)))
    dataset = inspect_dataset(str(source), "detect")
    assert dataset.images == {"train": 3, "val": 3}
    assert len(dataset.names) == 2


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("train: images/train\nnames: [a]\n", "the key val: is missing"),
        ("train: images/train\nval: images/nowhere\nnames: [a]\n", "does not exist"),
        ("train: images/train\nval: images/val\n", "names: must list the classes"),
        ("train: images/train\nval: images/val\nnames: {0: a, 2: b}\n", "without a gap"),
        ("train: images/train\nval: images/val\nnames: [a]\nnc: 3\n", "nc: 3 but names: has 1"),
        ("train: images/train\nval: labels/val\nnames: [a]\n", "there are no images"),
        ("- a\n- b\n", "must be a mapping"),
        ("names: [a\n", "cannot be read as YAML"),
        ("train: gone.txt\nval: images/val\nnames: [a]\n", "does not exist"),
    ],
)
def test_what_is_wrong_is_said_with_the_key(tmp_path: Path, yaml: str, told: str) -> None:
    source = make_set(tmp_path / "set", yaml)
    with pytest.raises(DataError, match=told):
        inspect_dataset(str(source), "detect")


def test_a_split_without_any_label_is_refused(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / "labels" / "val")
    with pytest.raises(DataError, match=r"none of the 3 val images has a label file; looked for .*labels/val/0\.txt"):
        inspect_dataset(str(source), "detect")


def test_classify_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "c" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "c" / split / name / "0.jpg")
    dataset = inspect_dataset(str(tmp_path / "c"), "classify")
    assert dataset.names == {0: "cat", 1: "dog"}
    assert dataset.images == {"train": 2, "val": 2}
    shutil.rmtree(tmp_path / "c" / "val")
    with pytest.raises(DataError, match="has no folder val"):
        inspect_dataset(str(tmp_path / "c"), "classify")


def test_a_missing_path_and_an_unknown_sample_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        inspect_dataset(str(tmp_path / "gone.yaml"), "detect")
    with pytest.raises(DataError, match="known: parking"):
        inspect_dataset("sample:harbour", "detect")
