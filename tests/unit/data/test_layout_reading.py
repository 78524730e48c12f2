"""Reading datasets as people have them: each odd data.yaml or folder is one row with what must come out of it."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolosweep.data.layout.layout_reader import read_layout
from yolosweep.data.layout.safe_yaml import read_yaml
from yolosweep.data.model.dataset_items import Layout
from yolosweep.data.model.safe_paths import is_image, label_of, printable
from yolosweep.errors import DataError
from yolosweep.records import Severity

KINDS = (("images", "png"), ("labels", "txt"))
USUAL = [f"{kind}/{split}/{i}.{end}" for kind, end in KINDS for split in ("train", "val") for i in (0, 1)]
VAL = ["images/val/0.png", "images/val/1.png"]
ROBOFLOW = [
    f"{split}/{kind}/{i}.{end.replace('png', 'jpg')}"
    for split in ("train", "valid", "test")
    for kind, end in KINDS
    for i in (0, 1)
]
NAMES = "names: [a, b]\n"
PLAIN = "train: images/train\nval: images/val\n"


def put(folder: Path, files: Sequence[str], **contents: str) -> Path:
    """Make files (images and labels are never opened, so they are empty) and return the folder."""
    for name in [*files, *contents]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(contents.get(name, ""), encoding="utf-8", newline="")
    return folder


def read(folder: Path, yaml: str | bytes, task: str = "detect", **more: Any) -> Layout:
    folder.mkdir(exist_ok=True)
    (folder / "data.yaml").write_bytes(yaml if isinstance(yaml, bytes) else yaml.encode())
    return read_layout(folder / "data.yaml", task, **more)


def codes(layout: Layout) -> set[str]:
    return {found.code for found in layout.findings}


def images(layout: Layout, split: str) -> list[str]:
    return [os.path.relpath(item.image, layout.source.parent) for item in layout.splits[split]]


def labels(layout: Layout, split: str) -> list[str]:
    return [os.path.relpath(str(item.label), layout.source.parent) for item in layout.splits[split]]


WILD: dict[str, tuple[Sequence[str], str, list[str], set[str]]] = {
    # id: files, data.yaml, val's images, codes of the findings
    "as in the manual": (USUAL, PLAIN + NAMES, VAL, set()),
    "path .": (USUAL, "path: .\n" + PLAIN + NAMES, VAL, {"yaml-path-resolved"}),
    "path empty": (USUAL, "path:\n" + PLAIN + NAMES, VAL, set()),
    "path relative to data.yaml": (
        [f"set/{name}" for name in USUAL],
        "path: set\n" + PLAIN + NAMES,
        ["set/images/val/0.png", "set/images/val/1.png"],
        {"yaml-path-resolved"},
    ),
    "path with ..": (
        USUAL,
        "path: ../here\n" + PLAIN + NAMES,
        VAL,
        {"yaml-path-resolved"},
    ),
    "somebody else's home": (
        USUAL,
        "path: /home/ada/sets/cars\n" + PLAIN + NAMES,
        VAL,
        {"yaml-path-resolved"},
    ),
    "somebody else's home, one folder deeper": (
        [f"cars/{name}" for name in USUAL],
        "path: /home/ada/sets/cars\n" + PLAIN + NAMES,
        ["cars/images/val/0.png", "cars/images/val/1.png"],
        {"yaml-path-resolved"},
    ),
    "a home that is not known here": (
        USUAL,
        "path: ~nobody/cars\n" + PLAIN + NAMES,
        VAL,
        {"yaml-path-resolved"},
    ),
    "windows": (
        USUAL,
        "path: C:\\Users\\Ada L\\my cars\ntrain: images\\train\nval: images\\val\n" + NAMES,
        VAL,
        {"yaml-path-resolved"},
    ),
    "windows, spaces, absolute splits": (
        ["my cars/" + name for name in USUAL],
        "train: 'D:\\sets\\my cars\\images\\train'\nval: \"D:/sets/my cars/images/val\"\n" + NAMES,
        ["my cars/images/val/0.png", "my cars/images/val/1.png"],
        {"yaml-path-resolved"},
    ),
    "roboflow": (
        ROBOFLOW,
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n" + NAMES,
        ["valid/images/0.jpg", "valid/images/1.jpg"],
        {"yaml-path-resolved"},
    ),
    "roboflow, one level off for real": (
        ["../train/images/0.jpg", "../train/labels/0.txt", "../valid/images/0.jpg", "../valid/labels/0.txt"],
        "train: ../train/images\nval: ../valid/images\n" + NAMES,
        ["../valid/images/0.jpg"],
        {"yaml-path-declared"},
    ),
    "roboflow, both": (
        [
            "../train/images/0.jpg",
            "../train/labels/0.txt",
            "train/images/0.jpg",
            "valid/images/0.jpg",
            "valid/labels/0.txt",
        ],
        "train: ../train/images\nval: valid/images\n" + NAMES,
        ["valid/images/0.jpg"],
        {"yaml-path-two"},
    ),
    "colab": (
        ROBOFLOW,
        "train: /content/cars-3/train/images\nval: /content/cars-3/valid/images\n" + NAMES,
        ["valid/images/0.jpg", "valid/images/1.jpg"],
        {"yaml-path-resolved"},
    ),
    "kaggle input": (
        ["cars/" + name for name in USUAL],
        "path: /kaggle/input/cars\n" + PLAIN + NAMES,
        ["cars/images/val/0.png", "cars/images/val/1.png"],
        {"yaml-path-resolved"},
    ),
    "key validation": (
        USUAL,
        "train: images/train\nvalidation: images/val\n" + NAMES,
        VAL,
        {"yaml-key-renamed"},
    ),
    "key valid": (
        USUAL,
        "train: images/train\nvalid: images/val\n" + NAMES,
        VAL,
        {"yaml-key-renamed"},
    ),
    "key dev": (
        USUAL,
        "train: images/train\ndev: images/val\n" + NAMES,
        VAL,
        {"yaml-key-renamed"},
    ),
    "folder valid, said val": (
        ROBOFLOW,
        "train: train/images\nval: val/images\n" + NAMES,
        ["valid/images/0.jpg", "valid/images/1.jpg"],
        {"yaml-path-resolved"},
    ),
    "another case": (
        [name.replace("images", "Images").replace("val", "Val") for name in USUAL if "labels" not in name]
        + ["Labels/train/0.txt", "Labels/Val/0.txt"],
        PLAIN + NAMES,
        ["Images/Val/0.png", "Images/Val/1.png"],
        {"yaml-path-resolved", "file-labels-elsewhere"},
    ),
    "spaces at the ends": (
        USUAL,
        "train: 'images/train '\nval: ' images/val'\n" + NAMES,
        VAL,
        {"yaml-path-resolved"},
    ),
    "lists of folders": (
        [*USUAL, "more/images/x.JPG", "more/labels/x.txt"],
        "train: [images/train]\nval:\n- images/val\n- more\n" + NAMES,
        ["images/val/0.png", "images/val/1.png", "more/images/x.JPG"],
        set(),
    ),
    "a folder twice": (
        USUAL,
        "train: images/train\nval: [images/val, images/val]\n" + NAMES,
        VAL,
        {"file-twice"},
    ),
    "train over imgs": (
        ["train/imgs/0.jpg", "train/labels/0.txt", "val/imgs/0.jpg", "val/labels/0.txt"],
        "train: train/imgs\nval: val/imgs\n" + NAMES,
        ["val/imgs/0.jpg"],
        {"file-labels-elsewhere"},
    ),
    "imgs over train": (
        ["imgs/train/0.jpg", "labels/train/0.txt", "imgs/val/0.jpg", "labels/val/0.txt"],
        "train: imgs/train\nval: imgs/val\n" + NAMES,
        ["imgs/val/0.jpg"],
        {"file-labels-elsewhere"},
    ),
    "labels beside, no folder images": (
        ["train/0.jpg", "train/0.txt", "val/0.jpg", "val/0.txt"],
        "train: train\nval: val\n" + NAMES,
        ["val/0.jpg"],
        set(),
    ),
    "labels beside, folder images": (
        ["images/train/0.jpg", "images/train/0.txt", "images/val/0.jpg", "images/val/0.txt"],
        PLAIN + NAMES,
        ["images/val/0.jpg"],
        {"file-labels-elsewhere"},
    ),
    "the set's own folder is called images": (
        [
            "images/train/images/0.jpg",
            "images/train/labels/0.txt",
            "images/val/images/0.jpg",
            "images/val/labels/0.txt",
        ],
        "train: images/train/images\nval: images/val/images\n" + NAMES,
        ["images/val/images/0.jpg"],
        set(),
    ),
    "labels in another case": (
        ["images/train/A.jpg", "labels/train/a.txt", "images/val/0.jpg", "labels/val/0.TXT"],
        PLAIN + NAMES,
        ["images/val/0.jpg"],
        {"file-label-case"},
    ),
    "crlf and bom": (
        USUAL,
        "\ufeff" + (PLAIN + NAMES).replace("\n", "\r\n"),
        VAL,
        set(),
    ),
    "comments in any script": (
        USUAL,
        "# Данные 数据 بيانات 🚗\n" + PLAIN + "names: [автомобиль, 汽车] # سيارة\n",
        VAL,
        set(),
    ),
    "tabs where PyYAML allows them": (
        USUAL,
        "train:\timages/train\t# ours\nval: images/val \t\nnames:\t[a,\tb]\t\n",
        VAL,
        set(),
    ),
    "a key twice": (
        USUAL,
        "val: nowhere\n" + PLAIN + NAMES,
        VAL,
        {"yaml-key-twice"},
    ),
    "download is never run": (
        USUAL,
        PLAIN + NAMES + "download: |\n  import os\n  os.mkdir('canary')\n",
        VAL,
        {"yaml-download"},
    ),
    "test that is not there": (
        USUAL,
        PLAIN + "test: ../test/images\n" + NAMES,
        VAL,
        {"yaml-test-missing"},
    ),
    "what a mac leaves": (
        [*USUAL, "images/val/._0.png", "images/val/.DS_Store", "images/val/__MACOSX/._1.png"],
        PLAIN + NAMES,
        VAL,
        {"file-hidden"},
    ),
    "odd names": (
        [
            "images/train/0.png",
            "labels/train/0.txt",
            "images/val/a b 'c' \"d\" ü 汽车.v2.png",
            "labels/val/a b 'c' \"d\" ü 汽车.v2.txt",
        ],
        PLAIN + NAMES,
        ["images/val/a b 'c' \"d\" ü 汽车.v2.png"],
        set(),
    ),
    "a line break in a name": (
        [*USUAL, "images/val/x\ny.png", "labels/val/x\ny.txt"],
        PLAIN + NAMES,
        ["images/val/0.png", "images/val/1.png", "images/val/x\ny.png"],
        {"file-name-odd"},
    ),
    "two suffixes, one label": (
        [*USUAL, "images/val/0.jpg"],
        PLAIN + NAMES,
        ["images/val/0.jpg", "images/val/0.png", "images/val/1.png"],
        {"file-same-label"},
    ),
    "caches left by others": (
        [*USUAL, "labels/val.cache", "images/val/0.npy"],
        PLAIN + NAMES,
        VAL,
        {"file-foreign-cache"},
    ),
    "no label in val": (
        [name for name in USUAL if "labels/val" not in name],
        PLAIN + NAMES,
        VAL,
        {"file-no-labels"},
    ),
    "one labels folder for both is not guessed": (
        ["train/0.jpg", "val/0.jpg", "labels/0.txt"],
        "train: train\nval: val\n" + NAMES,
        ["val/0.jpg"],
        {"file-no-labels"},
    ),
}


@pytest.mark.parametrize("case", WILD, ids=str)
def test_as_found_in_the_wild(tmp_path: Path, case: str) -> None:
    files, yaml, expected, told = WILD[case]
    here = tmp_path / "here"
    here.mkdir()
    layout = read(put(here, files), yaml)
    assert images(layout, "val") == expected
    assert len(layout.splits["train"]) >= 1
    assert codes(layout) == told
    assert all(item.image.is_absolute() and item.image.is_file() for split in layout.splits.values() for item in split)
    if not told & {"file-no-labels"}:
        assert all(item.label is not None and item.label.is_file() for item in layout.splits["train"][:1])
        assert any(item.label is not None and item.label.is_file() for item in layout.splits["val"])
    assert not (Path.cwd() / "canary").exists()


LISTS: dict[str, tuple[str, list[str], set[str]]] = {
    # id: lines of val.txt, val's images, codes
    "./": ("./images/val/0.png\n./images/val/1.png\n", VAL, set()),
    "relative to the root": ("images/val/0.png\nimages/val/1.png", VAL, {"yaml-path-resolved"}),
    "another machine": ("/content/x/images/val/1.png\n", ["images/val/1.png"], {"yaml-path-resolved"}),
    "windows": ("D:\\x\\images\\val\\1.png\r\n", ["images/val/1.png"], {"yaml-path-resolved"}),
    "bom and crlf": ("\ufeff./images/val/1.png\r\n./images/val/0.png\r\n", VAL, set()),
    "spaces and empty lines": ("\n\n ./images/val/1.png \n\n", ["images/val/1.png"], set()),
    "twice": (
        "./images/val/1.png\n./images/val/1.png\n./images/../images/val/1.png\n",
        ["images/val/1.png"],
        {"file-twice"},
    ),
    "one is gone": ("./images/val/1.png\n./images/val/9.png\n", ["images/val/1.png"], {"file-missing"}),
    "not an image": ("./images/val/1.png\n./notes.md\n# a comment\n", ["images/val/1.png"], {"file-list-line"}),
}


@pytest.mark.parametrize("case", LISTS, ids=str)
def test_lists_of_images(tmp_path: Path, case: str) -> None:
    lines, expected, told = LISTS[case]
    put(tmp_path, USUAL, **{"val.txt": lines})
    layout = read(tmp_path, "train: images/train\nval: val.txt\n" + NAMES)
    assert images(layout, "val") == expected
    assert labels(layout, "val") == [name.replace("images", "labels").replace("png", "txt") for name in expected]
    assert codes(layout) == told


def test_lines_of_a_list_are_told(tmp_path: Path) -> None:
    put(tmp_path, USUAL, **{"val.txt": "./images/val/1.png\n./images/val/8.png\n./images/val/9.png\n"})
    (found,) = read(tmp_path, "train: images/train\nval: val.txt\n" + NAMES).findings
    assert (found.line, found.count, found.split) == (2, 2, "val")
    assert found.severity is Severity.ERROR


def test_an_absolute_list_inside_the_root_needs_no_word(tmp_path: Path) -> None:
    put(tmp_path, USUAL, **{"val.txt": f"{tmp_path}/images/val/1.png\n"})
    layout = read(tmp_path, "train: images/train\nval: val.txt\n" + NAMES)
    assert images(layout, "val") == ["images/val/1.png"]
    assert codes(layout) == set()


CLASSES: dict[str, tuple[str, dict[int, str], set[str]]] = {
    "a mapping": ("names: {0: a, 1: b}\n", {0: "a", 1: "b"}, set()),
    "a mapping out of order": ("names:\n  1: b\n  0: a\n", {0: "a", 1: "b"}, set()),
    "numbers in quotes": ("names: {'0': a, '1': b}\n", {0: "a", 1: "b"}, set()),
    "nc alone": ("nc: 2\n", {0: "class_0", 1: "class_1"}, {"yaml-names-missing"}),
    "nc in quotes": ("nc: '2'\nnames: [a, b]\n", {0: "a", 1: "b"}, set()),
    "nc with a dot": ("nc: 2.0\nnames: [a, b]\n", {0: "a", 1: "b"}, set()),
    "no and yes": ("names: [no, yes]\n", {0: "no", 1: "yes"}, {"yaml-names-plain"}),
    "quoted no": ("names: ['no', \"on\"]\n", {0: "no", 1: "on"}, set()),
    "a version": ("names: [1.10, 2.0]\n", {0: "1.10", 1: "2.0"}, {"yaml-names-plain"}),
    "an octal and a time": ("names: [010, 1:30, 0x1F]\n", {0: "010", 1: "1:30", 2: "0x1F"}, {"yaml-names-plain"}),
    "null": ("names: [null, ~]\n", {0: "null", 1: "~"}, {"yaml-names-plain"}),
    "a class called 0": ("names: ['0']\n", {0: "0"}, set()),
    "a class called 0, plain": ("names: [0]\n", {0: "0"}, {"yaml-names-plain"}),
    "y and n are text": ("names: [y, n]\n", {0: "y", 1: "n"}, set()),
    "twice": ("names: [car, bus, car]\n", {0: "car", 1: "bus", 2: "car"}, {"yaml-names-twice"}),
    "an anchor": ("names: &n [a, b]\nother: *n\n", {0: "a", 1: "b"}, set()),
    "any script": ("names: [Ампула, 汽车, سيارة, 'a: b']\n", {0: "Ампула", 1: "汽车", 2: "سيارة", 3: "a: b"}, set()),
    "a key twice": ("names: {0: a, 1: x, 1: b}\n", {0: "a", 1: "b"}, {"yaml-key-twice"}),
}


@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_classes_as_written(tmp_path: Path, case: str) -> None:
    yaml, expected, told = CLASSES[case]
    layout = read(put(tmp_path, USUAL), PLAIN + yaml)
    assert layout.names == expected
    assert codes(layout) == told


def test_what_ultralytics_would_call_a_class_is_told(tmp_path: Path) -> None:
    first, second = read(put(tmp_path, USUAL), PLAIN + "names:\n- no\n- 1\n").findings
    assert first.message == (
        "class 0 is named 'no', which YAML reads as a boolean: "
        "Ultralytics would name it 'False'; the name is kept as written"
    )
    assert (first.line, second.line) == (4, 5)
    assert second.message == "class 1 is named '1', which YAML reads as a number"


WRONG: dict[str, tuple[str | bytes, list[str]]] = {
    # id: data.yaml, what the error says
    "no val": (
        "train: images/train\n" + NAMES,
        ["the key val: is missing; write e.g. val: images/val, or create one with yolosweep split"],
    ),
    "Val": (
        "train: images/train\nVal: images/val\n" + NAMES,
        ["the key val: is missing", "Val: must be in lower case"],
    ),
    "nowhere": (
        "train: images/train\nval: images/vall\n" + NAMES,
        ["val (line 2)", "images/vall does not exist", "images contains val/", "write val: images/val"],
    ),
    "all at once": (
        "train: nowhere\nval: [1, 2]\nnames: {0: a, 2: b}\nnc: x\n",
        [
            "4 problems",
            "nowhere does not exist",
            "val (line 2)",
            "without gaps, not [0, 2]",
            "nc: x must be the number",
        ],
    ),
    "no names": (PLAIN, ["names: must list the classes, e.g. names: [red_car, car]"]),
    "names in one text": (PLAIN + "names: car, bus\n", ["write names: [car, bus]"]),
    "names the wrong way round": (PLAIN + "names: {car: 0, bus: 1}\n", ["e.g. names: {0: car, 1: bus}"]),
    "names within names": (PLAIN + "names: [[car], [bus]]\n", ["must be one flat list of names"]),
    "an empty name": (PLAIN + "names: [car, '']\n", ["names (line 3): class 1 has no name"]),
    "a class number twice": (PLAIN + "names: {0: a, '0': b}\n", ["class 0 is defined twice"]),
    "nc differs": (PLAIN + "nc: 3\nnames: [a]\n", ["nc (line 3): nc: 3 but names: has 1 classes; remove nc:"]),
    "nc a truth value": (PLAIN + "nc: yes\nnames: [a]\n", ["nc: True must be the number of classes"]),
    "no images there": (
        "train: images/train\nval: labels/val\n" + NAMES,
        [
            "there are no images in labels/val: ",
            "labels/val contains 0.txt, 1.txt; formats read: avif, bmp",
            "or set val: to a folder with images; yolosweep split creates one",
        ],
    ),
    "a list that is gone": ("train: gone.txt\nval: images/val\n" + NAMES, ["gone.txt does not exist"]),
    "an address": ("train: https://x.org/a.zip\nval: images/val\n" + NAMES, ["is an address; nothing is downloaded"]),
    "download a script": (
        "train: gone\nval: images/val\ndownload: bash get.sh\n" + NAMES,
        ["download: (bash get.sh) is never run", "read it first"],
    ),
    "download an address": (
        "train: gone\nval: images/val\ndownload: https://x.org/a.zip\n" + NAMES,
        ["is never run: download it yourself"],
    ),
    "both would be the same": (
        "train: /content/a/pics\nval: /content/b/pics\n" + NAMES,
        ["which overlaps with train:; write the intended folders"],
    ),
    "a tab": (b"names:\n\t- a\n" + PLAIN.encode(), ["line 2: the line begins with a tab"]),
    "a path in double quotes": (
        'path: "C:\\Users\\x"\n' + PLAIN + NAMES,
        ["a backslash is an escape in double quotes"],
    ),
    "a colon in a name": (PLAIN + "names:\n  0: a: b\n", ["line 4: quote text that contains a colon and a space"]),
    "utf-16": (("\ufeff" + PLAIN + NAMES).encode("utf-16-le"), ["is in UTF-16; save it as UTF-8"]),
    "a list": ("- a\n- b\n", ["must be a mapping with train:, val: and names:"]),
    "nothing": ("# later\n", ["is empty; it must be a mapping"]),
    "an anchor twice": ("a: &x 1\nb: &x 2\n", ["line 2: an anchor (&name) is defined twice"]),
    "not closed": ("names: [a\n", ["cannot be read as YAML: line 2"]),
    "two documents": (PLAIN + NAMES + "---\n" + NAMES, ["line 4: a second document begins"]),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_what_is_wrong_is_said_with_the_line_to_write(tmp_path: Path, case: str) -> None:
    yaml, told = WRONG[case]
    with pytest.raises(DataError) as caught:
        read(put(tmp_path, [*USUAL, "pics/0.jpg"]), yaml)
    for part in told:
        assert part in str(caught.value)
    assert str(tmp_path / "data.yaml") in str(caught.value)


POSE = {
    "missing": ("", "kpt_shape: is missing; pose needs [keypoints, 2 or 3]"),
    "one number": ("kpt_shape: [17]\n", "kpt_shape: is [17]"),
    "a text": ("kpt_shape: 17x3\n", "kpt_shape: is 17x3"),
    "four dimensions": ("kpt_shape: [17, 4]\n", "pose needs [keypoints, 2 or 3]"),
    "flip too short": ("kpt_shape: [3, 2]\nflip_idx: [0, 1]\n", "flip_idx: must list each keypoint 0 to 2 once"),
}


@pytest.mark.parametrize("case", POSE, ids=str)
def test_keypoints_that_do_not_fit_are_refused(tmp_path: Path, case: str) -> None:
    yaml, told = POSE[case]
    with pytest.raises(DataError, match=r"kpt_shape|flip_idx") as caught:
        read(put(tmp_path, USUAL), PLAIN + NAMES + yaml, "pose")
    assert told in str(caught.value)


def test_keypoints_are_handed_on(tmp_path: Path) -> None:
    yaml = PLAIN + NAMES + "kpt_shape: [2, 3]\nflip_idx: [1, 0]\nkpt_names: {0: [l, r], 1: [l, r]}\n"
    layout = read(put(tmp_path, USUAL), yaml, "pose")
    assert layout.extra == {"kpt_shape": [2, 3], "flip_idx": [1, 0], "kpt_names": {0: ["l", "r"], 1: ["l", "r"]}}


def test_other_roots_are_looked_in(tmp_path: Path) -> None:
    put(tmp_path / "datasets" / "cars", USUAL)
    layout = read(tmp_path / "here", "path: cars\n" + PLAIN + NAMES, roots=[tmp_path / "datasets"])
    assert layout.root == tmp_path / "datasets" / "cars"
    assert codes(layout) == {"yaml-path-resolved"}


def test_path_relative_to_the_working_directory_is_what_ultralytics_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "work" / "cars", USUAL)
    monkeypatch.chdir(tmp_path / "work")
    layout = read(tmp_path / "here", "path: cars\n" + PLAIN + NAMES)
    assert (layout.root, codes(layout)) == (tmp_path / "work" / "cars", set())
    put(tmp_path / "here" / "cars", USUAL)
    layout = read(tmp_path / "here", "path: cars\n" + PLAIN + NAMES)
    assert (layout.root, codes(layout)) == (tmp_path / "work" / "cars", {"yaml-path-two"})


def test_links_that_stay_inside_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path, [*USUAL, "pool/images/9.png", "pool/labels/9.txt"])
    (tmp_path / "images" / "val" / "again").symlink_to(tmp_path / "images" / "val")
    (tmp_path / "images" / "val" / "9.png").symlink_to(tmp_path / "pool" / "images" / "9.png")
    (tmp_path / "labels" / "val" / "9.txt").symlink_to(tmp_path / "pool" / "labels" / "9.txt")
    layout = read(tmp_path, PLAIN + NAMES)
    assert images(layout, "val") == ["images/val/0.png", "images/val/1.png", "images/val/9.png"]
    assert labels(layout, "val")[-1] == "labels/val/9.txt"
    assert codes(layout) == {"file-loop"}


def test_files_outside_are_left_out_unless_they_are_allowed(tmp_path: Path) -> None:
    put(tmp_path / "here", USUAL)
    put(tmp_path / "there", ["x.png", "more/y.png"])
    (tmp_path / "here" / "images" / "val" / "x.png").symlink_to(tmp_path / "there" / "x.png")
    (tmp_path / "here" / "images" / "val" / "more").symlink_to(tmp_path / "there" / "more")
    layout = read(tmp_path / "here", PLAIN + NAMES)
    assert images(layout, "val") == VAL
    (found,) = layout.findings
    assert (found.code, found.severity, found.count) == ("file-outside", Severity.ERROR, 2)
    allowed = read(tmp_path / "here", PLAIN + NAMES, outside=True)
    assert images(allowed, "val") == [f"images/val/{name}.png" for name in ("0", "1", "more/y", "x")]
    assert codes(allowed) == {"file-outside"}
    named = read(tmp_path / "here", PLAIN + NAMES, roots=[tmp_path / "there"])
    assert (len(named.splits["val"]), codes(named)) == (4, set())


def test_a_folder_written_plainly_may_be_anywhere(tmp_path: Path) -> None:
    put(tmp_path / "there", USUAL)
    layout = read(
        tmp_path / "here", f"train: {tmp_path}/there/images/train\nval: {tmp_path}/there/images/val\n" + NAMES
    )
    assert labels(layout, "val") == ["../there/labels/val/0.txt", "../there/labels/val/1.txt"]
    assert codes(layout) == {"yaml-path-declared"}


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yaml", "cars.yml", "inner/data.yaml"])
def test_a_folder_with_one_data_yaml(tmp_path: Path, name: str) -> None:
    folder = put(tmp_path / "s", [str(Path(name).parent / file) for file in USUAL], **{name: PLAIN + NAMES})
    assert read_layout(folder, "detect").source == folder / name


def test_a_folder_with_two_is_asked_about(tmp_path: Path) -> None:
    put(tmp_path, USUAL, **{"a.yaml": PLAIN + NAMES, "b.yaml": PLAIN + NAMES})
    with pytest.raises(DataError, match=r"should contain one data\.yaml, found a\.yaml, b\.yaml; name the file itself"):
        read_layout(tmp_path, "detect")


def test_a_folder_without_data_yaml_gets_one_proposed(tmp_path: Path) -> None:
    put(tmp_path, ROBOFLOW)
    with pytest.raises(DataError) as caught:
        read_layout(tmp_path, "detect")
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[1:4] == ["train: train/images", "val: valid/images", "test: test/images"]
    assert lines[4].startswith("names: [")


def test_one_split_is_enough_when_no_more_is_asked_for(tmp_path: Path) -> None:
    layout = read(put(tmp_path, USUAL), "train: images\n" + NAMES, required=("train",))
    assert {split: len(items) for split, items in layout.splits.items()} == {"train": 4}


PETS = ["train/cat/0.jpg", "train/dog/0.jpg", "train/dog/deep/1.JPEG"]
FOLDERS: dict[str, tuple[Sequence[str], set[str]]] = {
    "val": ([*PETS, "val/cat/0.jpg", "val/dog/0.jpg"], set()),
    "valid": ([*PETS, "valid/cat/0.jpg"], {"yaml-key-renamed"}),
    "validation and test": ([*PETS, "validation/cat/0.jpg", "test/dog/0.jpg"], {"yaml-key-renamed"}),
    "a mac's leavings": ([*PETS, "val/cat/0.jpg", "val/cat/._0.jpg", "train/.DS_Store"], {"file-hidden"}),
    "a hidden folder": ([*PETS, "val/cat/0.jpg", "train/.ipynb_checkpoints/0.jpg"], {"file-hidden-class"}),
    "images in no class": ([*PETS, "val/cat/0.jpg", "val/9.jpg"], {"file-no-class"}),
    "a cache": ([*PETS, "val/cat/0.jpg", "val.cache"], {"file-foreign-cache"}),
    "names from elsewhere": ([*PETS, "val/cat/0.jpg", ".ndjson.yaml"], {"yaml-ndjson"}),
}


@pytest.mark.parametrize("case", FOLDERS, ids=str)
def test_class_folders(tmp_path: Path, case: str) -> None:
    files, told = FOLDERS[case]
    layout = read_layout(put(tmp_path, files), "classify")
    assert layout.names == {0: "cat", 1: "dog"}
    assert [(item.image.name, item.label, item.category) for item in layout.splits["train"]] == [
        ("0.jpg", None, 0), ("0.jpg", None, 1), ("1.JPEG", None, 1),
    ]  # fmt: skip
    assert layout.splits["val"][0].category == 0
    assert codes(layout) == told


NO_FOLDERS = {
    "no val": (PETS, "has no folder val/; classify needs train/<class>/ and val/<class>/; it contains train"),
    "no val but test": ([*PETS, "test/cat/0.jpg"], "Ultralytics would validate on test/"),
    "no train": (["cat/0.jpg", "dog/0.jpg"], "has no folder train/; classify needs train/<class>/ and val/<class>/"),
    "one class": (["train/cat/0.jpg", "val/cat/0.jpg"], "has 1 class folders; at least two are needed"),
    "classes of val alone": (["train/cat/0.jpg", "train/dog/0.jpg", "val/cow/0.jpg"], "no images in class folders"),
    "val is empty": ([*PETS, "val/cat/readme.md"], "val contains no images in class folders"),
}


@pytest.mark.parametrize("case", NO_FOLDERS, ids=str)
def test_class_folders_that_do_not_do(tmp_path: Path, case: str) -> None:
    files, told = NO_FOLDERS[case]
    with pytest.raises(DataError) as caught:
        read_layout(put(tmp_path, files), "classify")
    assert told in str(caught.value)


def test_an_empty_class_is_told(tmp_path: Path) -> None:
    put(tmp_path, [*PETS, "val/cat/0.jpg", "train/emu/readme.md"])
    layout = read_layout(tmp_path, "classify")
    assert (layout.names[2], codes(layout)) == ("emu", {"file-class-empty"})


def test_classify_wants_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="classify needs a folder"):
        read(put(tmp_path, USUAL), PLAIN + NAMES, "classify")


def test_a_missing_source_and_an_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.yaml does not exist; give the path of a data\.yaml"):
        read_layout(tmp_path / "gone.yaml", "detect")
    put(tmp_path, ["set.zip"])
    with pytest.raises(DataError, match="is an archive; unpack it"):
        read_layout(tmp_path / "set.zip", "detect")


def test_real_data_needs_no_word(bccd_tiny: Path) -> None:
    layout = read_layout(bccd_tiny, "detect")
    assert {split: len(items) for split, items in layout.splits.items()} == {"train": 48, "val": 24, "test": 24}
    assert layout.findings == ()


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=4), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6,
), min_size=1))  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_yaml_is_read_to_the_values_that_were_written(tmp_path: Path, content: dict[str, Any]) -> None:
    yaml = pytest.importorskip("yaml", reason="Ultralytics' YAML library")
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", newline="")
    assert read_yaml(file).content == yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)


@given(st.text(alphabet="0123456789+-._:eExXbonyOFfNtrue~", max_size=6))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_words_are_what_ultralytics_takes_them_for(tmp_path: Path, word: str) -> None:
    yaml = pytest.importorskip("yaml", reason="Ultralytics' YAML library")
    file = tmp_path / "x.yaml"
    file.write_text(f"[{word}]\n")
    try:
        expected = yaml.load(file.read_text(), yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        return
    file.write_text(f"a: [{word}]\n")
    (got,) = read_yaml(file).content["a"] or [None]
    assert repr(got) == repr((expected or [None])[0])


@given(st.text(min_size=1))
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) <= 161


SAME: dict[str, Callable[[Path], str]] = {
    "usual": lambda folder: PLAIN + NAMES,
    "nested, hidden, odd suffixes": lambda folder: "train: images\nval: images/val\n" + NAMES,
    "lists": lambda folder: f"train: [images/train, all.txt]\nval: {folder}/all.txt\n" + NAMES,
    "absolute path": lambda folder: f"path: {folder}\n" + PLAIN + NAMES,
    "roboflow": lambda folder: "train: ../images/train\nval: ../images/val\nnc: 2\n" + NAMES,
    "validation": lambda folder: "train: images/train\nvalidation: images/val\nnc: '2'\n",
    "bytes that are not utf-8": lambda folder: "# Stra\xdfe\n" + PLAIN + NAMES,
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SAME, ids=str)
def test_the_same_files_as_ultralytics(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from ultralytics.data import utils
    from ultralytics.data.base import BaseDataset

    monkeypatch.setattr(utils, "check_font", lambda font: None)
    odd = [
        "images/train/b.c.JPG",
        "images/train/.x.png",
        "images/train/.h/x.png",
        "images/train/sub/d.TiFf",
        "images/train/x.gif",
    ]
    put(tmp_path, [*USUAL, *odd], **{"all.txt": "./images/val/0.png\n./images/train/1.png\n./notes.md\n"})
    layout = read(tmp_path, SAME[case](tmp_path).encode("latin-1"))
    theirs = utils.check_det_dataset(str(tmp_path / "data.yaml"), autodownload=False)
    assert theirs["names"] == layout.names
    for split in ("train", "val"):
        files = BaseDataset.get_img_files(SimpleNamespace(prefix="", fraction=1.0), theirs[split])  # type: ignore[arg-type]
        assert [str(item.image) for item in layout.splits[split]] == sorted(set(files))
        ours = [str(item.label) for item in layout.splits[split]]
        assert ours == utils.img2label_paths(sorted(set(files)))
        assert [str(label_of(Path(file))) for file in files] == utils.img2label_paths(files)


@pytest.mark.slow
def test_the_same_classes_as_ultralytics(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    odd = ["val/Ant/x.PNG", "train/Ant/.h/y.png", "train/dog/notes.txt", "train/Ant/.z.png"]
    put(tmp_path, [*PETS, "val/cat/0.jpg", *odd])
    layout = read_layout(tmp_path, "classify")
    for split in ("train", "val"):
        theirs = ImageFolder(str(tmp_path / split), is_valid_file=is_image)
        names = dict(enumerate(theirs.classes))
        ours = sorted((str(item.image), layout.names[item.category or 0]) for item in layout.splits[split])
        assert ours == sorted((path, names[number]) for path, number in theirs.samples)
    assert list(layout.names.values()) == ["Ant", "cat", "dog"]


@pytest.mark.slow
def test_the_same_suffixes_as_ultralytics() -> None:
    from ultralytics.data.utils import IMG_FORMATS

    assert all(is_image(f"x.{suffix}") and is_image(f"x.{suffix.upper()}") for suffix in IMG_FORMATS)
    assert not any(is_image(f"x.{suffix}") for suffix in ("txt", "npy", "gif", "cache", ""))


@pytest.mark.parametrize(("more", "told"), [([], True), (["train/labels/0.txt"], False), (["train/cat/0.txt"], False)])
def test_class_folders_without_their_task_are_told_so(tmp_path: Path, more: list[str], told: bool) -> None:
    put(tmp_path, [*PETS, "val/cat/0.jpg", *more])
    with pytest.raises(DataError) as refused:
        read_layout(tmp_path, "detect")
    assert (
        "train/cat, train/dog look like the classes of a classification set: set task: classify" in str(refused.value)
    ) == told
