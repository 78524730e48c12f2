"""Data that other programs and other machines leave behind, one minimal input each: what the checks say about it.

``python -m tests.bench.foreign_data [WORD]`` prints a table of what was said at 396f4ef (``before``) and what is said
now; WORD keeps the rows whose number or name holds it. Numbers are those of the report data-2: 1 and 2 are here, 5 to 7
in :mod:`tests.bench.public_reports`; for 3 see ``tests.bench.leaks --pictures``, for 4 ``tests.bench.many_images`` and
``tests.bench.scan``.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yolosweep.data.checks.dataset_checks import Gate, examine
from yolosweep.errors import YolosweepError
from yolosweep.workflows.data_split import pooled_layout, split_data
from yolosweep.workflows.progress_listener import LogListener

BOX = "0 0.5 0.5 0.2 0.2\n"
BORING = {"split-test-absent", "split-val-small", "balance-class-few", "balance-class-unscored", "duplicate-near"}
"""Codes that every tiny data set has."""


class Row(NamedTuple):
    """One input."""

    number: str
    name: str
    before: str
    say: Callable[[Path], str]


ROWS: list[Row] = []


def row(number: str, name: str, before: str = "") -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Register a function that makes an input in a folder and returns what is said about it."""

    def add(say: Callable[[Path], str]) -> Callable[[Path], str]:
        ROWS.append(Row(number, name, before, say))
        return say

    return add


def picture(file: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Write an image that is like no other."""
    file.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, format=_format(file))
    return file


def _format(file: Path) -> str | None:
    return "JPEG" if file.suffix == ".jfif" else None


def dataset(
    place: Path,
    *,
    label: str | Callable[[int], str] = BOX,
    images: int = 4,
    suffix: str = ".jpg",
    yaml: str = "",
    names: str = "[a, b]",
    size: tuple[int, int] = (64, 48),
) -> Path:
    """Write images/{train,val} with labels and a data.yaml; return the data.yaml."""
    for at, split in enumerate(("train", "val")):
        for number in range(images):
            picture(place / "images" / split / f"{split}{number}{suffix}", 100 * at + number, size)
            text = label if isinstance(label, str) else label(number)
            file = place / "labels" / split / f"{split}{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    content = f"path: {place}\ntrain: images/train\nval: images/val\nnames: {names}\n{yaml}"
    (place / "data.yaml").write_text(content)
    return place / "data.yaml"


def told(work: Callable[[], Gate]) -> str:
    """Return the codes of a check with their severities, or the refusal."""
    try:
        gate = work()
    except YolosweepError as error:
        return "refused: " + " / ".join(str(error).split("\n"))[:400]
    found = [one for one in gate.dataset.findings if one.code not in BORING]
    words = [f"{one.severity.value} {one.code}[{one.split}]: {one.message} -> {one.fix}"[:260] for one in found]
    return "\n".join([f"images {gate.dataset.images}, can start: {not gate.errors}", *words])


def check(source: Path, task: str = "detect", *, anywhere: bool = False) -> str:
    """Return what ``yolosweep check`` says."""
    return told(lambda: examine(str(source), task, anywhere=anywhere))


def split(source: Path, out: Path, task: str = "detect") -> str:
    """Return what ``yolosweep split`` says."""
    try:
        made = split_data(str(source), LogListener(), out=out, task=task, val=0.25, test=0.0, seed=0)
    except YolosweepError as error:
        return f"refused: {str(error)[:300]}"
    return f"images {made.images}, left out {len(made.left_out)}, missing {made.missing}"


@row(
    "1.1",
    "path: C:\\… with backslash splits",
    "refused: /data.yaml has 2 problems /   train (line 2): train: /images\\train does not exist (root ); ",
)
def _windows(place: Path) -> str:
    dataset(place / "datasets" / "Robo")
    text = "path: C:\\Users\\V\\proj\\datasets\\Robo\ntrain: images\\train\nval: images\\val\nnames: {0: a, 1: b}\n"
    (place / "data.yaml").write_text(text)
    return check(place / "data.yaml")


@row(
    "1.1",
    "literal val = train on Windows paths",
    "refused: /data.yaml has 1 problem /   val (line 2): val: C:\\Users\\V\\set\\images\\train does not exist ",
)
def _windows_same(place: Path) -> str:
    dataset(place)
    text = "train: C:\\Users\\V\\set\\images\\train\nval: C:\\Users\\V\\set\\images\\train\nnames: [a, b]\n"
    (place / "data.yaml").write_text(text)
    return check(place / "data.yaml")


@row("2.2", "channels: 4, images RGB", "can start: True")
def _channels(place: Path) -> str:
    return check(dataset(place, yaml="channels: 4\n"))


@row("2.2", "channels: 10, images 7-page TIFF", "can start: True")
def _pages(place: Path) -> str:
    yaml = dataset(place, yaml="channels: 10\n")
    for at, file in enumerate([*place.glob("images/*/*")]):
        pages = [
            Image.fromarray(np.random.default_rng([at, n]).integers(0, 255, (48, 64), dtype=np.uint8)) for n in range(7)
        ]
        pages[0].save(file.with_suffix(".tiff"), save_all=True, append_images=pages[1:])
        file.unlink()
    return check(yaml)


@row(
    "2.4",
    "every file a link to a blob store, check",
    "refused: /d/data.yaml has 2 problems /   train (line 2): there are no images in images/train: 4 file",
)
def _blobs(place: Path) -> str:
    yaml = dataset(place / "d")
    into_store(place)
    return check(yaml)


@row("2.4", "the same with --allow file-outside", "can start: False; error file-outside")
def _blobs_allowed(place: Path) -> str:
    yaml = dataset(place / "d")
    into_store(place)
    return check(yaml, anywhere=True)


@row("2.4", "the same in split", "refused: /d/data.yaml has 2 problems")
def _blobs_split(place: Path) -> str:
    yaml = dataset(place / "d")
    into_store(place)
    return split(yaml, place / "out")


def into_store(place: Path) -> None:
    """Move every file of ``place/d`` into a store and leave links, as the Hugging Face cache and DVC do."""
    store = place / "store"
    store.mkdir()
    for number, file in enumerate(sorted(place.glob("d/*/*/*"))):
        target = store / f"{number:032x}"
        shutil.move(file, target)
        file.symlink_to(os.path.relpath(target, file.parent))


@row(
    "2.5",
    "autolabel of a folder of unlabelled images",
    "refused: data: no label file was found for the 3 images in /in; expected /in/0.txt",
)
def _unlabelled(place: Path) -> str:
    for number in range(3):
        picture(place / "in" / f"{number}.jpg", number)
    try:
        from yolosweep.workflows.auto_labels import images_to_label
    except ImportError:
        try:
            return f"images {len(pooled_layout(str(place / 'in'), 'detect').splits['train'])}"
        except YolosweepError as error:
            return f"refused: {error}"
    return f"images {len(images_to_label(str(place / 'in'), 'detect', {0: 'a'}).splits['train'])}, names of the weights"


@row("2.6", "class numbers from 1", "can start: False; error label-class-range")
def _from_one(place: Path) -> str:
    rows = "1 0.2 0.2 0.1 0.1\n2 0.5 0.5 0.1 0.1\n3 0.7 0.7 0.1 0.1\n"
    return check(dataset(place, label=rows, names="[x, y, z]"))


@row("2.7", "4 jpg and 4 jfif with labels", "can start: True")
def _suffixes(place: Path) -> str:
    yaml = dataset(place)
    for split_, number in (("train", 4), ("train", 5), ("val", 4), ("val", 5)):
        picture(place / "images" / split_ / f"extra{number}.jfif", 900 + number)
        (place / "labels" / split_ / f"extra{number}.txt").write_text(BOX)
    return check(yaml)


@row("2.8", "left, top, width, height", "can start: True; warning label-partly-outside")
def _left_top(place: Path) -> str:
    def rows(number: int) -> str:
        draw = np.random.default_rng(number)
        pairs = [(draw.uniform(0.02, 0.7), draw.uniform(0.02, 0.7)) for _ in range(10)]
        sizes = [(draw.uniform(0.1, 1 - x), draw.uniform(0.1, 1 - y)) for x, y in pairs]
        return "".join(f"0 {x:.4f} {y:.4f} {w:.4f} {h:.4f}\n" for (x, y), (w, h) in zip(pairs, sizes, strict=True))

    return check(dataset(place, label=rows))


@row("2.8", "percent", "can start: False; error label-pixels, error split-val-empty")
def _percent(place: Path) -> str:
    return check(dataset(place, label="0 50 50 20 20\n1 30 40 10.5 80\n", size=(640, 480)))


@row(
    "2.9",
    "flat labels/ beside images/train, images/val",
    "can start: False; error file-no-labels, error split-val-empty, warning balance-empty",
)
def _flat(place: Path) -> str:
    yaml = dataset(place)
    for file in [*place.glob("labels/*/*.txt")]:
        file.rename(place / "labels" / file.name)
    for folder in ("train", "val"):
        (place / "labels" / folder).rmdir()
    return check(yaml)


@row(
    "2.9",
    "a.jpg.txt",
    "can start: False; error file-no-labels, error split-val-empty, warning label-orphan, warning balance-empty",
)
def _double_suffix(place: Path) -> str:
    yaml = dataset(place)
    for file in [*place.glob("labels/*/*.txt")]:
        file.rename(file.with_name(f"{file.stem}.jpg.txt"))
    return check(yaml)


@row(
    "2.9",
    "my_photo_1.txt for my photo 1.jpg",
    "can start: False; error file-no-labels, error split-val-empty, warning label-orphan, warning balance-empty",
)
def _spaces(place: Path) -> str:
    yaml = dataset(place)
    for file in [*place.glob("labels/*/*.txt")]:
        file.rename(file.with_name(f"my_photo_{file.name}"))
    for file in [*place.glob("images/*/*.jpg")]:
        file.rename(file.with_name(f"my photo {file.name}"))
    return check(yaml)


@row("1.1", "imgs/ and anns/", "can start: False; error file-no-labels, error split-val-empty, warning balance-empty")
def _anns(place: Path) -> str:
    dataset(place)
    (place / "images").rename(place / "imgs")
    (place / "labels").rename(place / "anns")
    (place / "data.yaml").write_text("train: imgs/train\nval: imgs/val\nnames: [a, b]\n")
    return check(place / "data.yaml")


@row(
    "2.10",
    "4 labelled and 20 background images per split",
    "can start: False; error label-missing, warning balance-empty",
)
def _backgrounds(place: Path) -> str:
    yaml = dataset(place, images=24)
    for file in place.glob("labels/*/*.txt"):
        if int(file.stem.lstrip("trainvl")) % 6:
            file.unlink()
    return check(yaml)


@row("2.11", "test: images/val", "can start: False; error leak-exact")
def _test_is_val(place: Path) -> str:
    return check(dataset(place, yaml="test: images/val\n"))


@row("2.12", "12000x12000 PNG in split", "images {'train': 9, 'val': 3}, left out 1, missing {}")
def _huge(place: Path) -> str:
    yaml = dataset(place, images=6)
    Image.new("1", (12000, 12000)).save(place / "images/train/huge.png")
    (place / "labels/train/huge.txt").write_text(BOX)
    return split(yaml, place / "out")


@row("2.13", "16-bit RGB TIFF of 12-bit values", "can start: True")
def _tiff16(place: Path) -> str:
    import cv2

    yaml = dataset(place)
    for number, file in enumerate([*place.glob("images/*/*")]):
        values = np.random.default_rng(number).integers(0, 4096, (48, 64, 3), dtype=np.uint16)
        cv2.imwrite(str(file.with_suffix(".tiff")), values)
        file.unlink()
    return check(yaml)


def foreign(place: Path) -> Path:
    """Write a folder of four images with a data.yaml, without YOLO labels."""
    dataset(place)
    shutil.rmtree(place / "labels")
    return place / "data.yaml"


@row(
    "2.14",
    "COCO JSON beside the images (Roboflow), no data.yaml",
    "refused: data:  should contain one data.yaml, found none; write /data.yaml with /   train: train /  ",
)
def _coco(place: Path) -> str:
    for split_ in ("train", "valid"):
        files = [picture(place / split_ / f"{split_}{n}.jpg", n + 90 * ord(split_[0])) for n in range(4)]
        (place / split_ / "_annotations.coco.json").write_text(json.dumps(coco_of([f.name for f in files])))
    return check(place)


def coco_of(files: Sequence[str]) -> dict[str, object]:
    """Return a COCO detection file with one box an image, and Roboflow's unused class 0."""
    names = {"things": "none", "a": "things", "b": "things"}
    return {
        "images": [{"id": n, "file_name": name, "width": 64, "height": 48} for n, name in enumerate(files)],
        "categories": [
            {"id": n, "name": name, "supercategory": above} for n, (name, above) in enumerate(names.items())
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [6, 12, 16, 12], "area": 192, "iscrowd": 0}
            for n in range(len(files))
        ],
    }


@row(
    "2.14",
    "labelme x.json beside the images",
    "can start: False; error file-no-labels, error split-val-empty, warning balance-empty",
)
def _labelme(place: Path) -> str:
    yaml = foreign(place)
    for file in place.glob("images/*/*.jpg"):
        shape = {"label": "a", "points": [[6, 12], [22, 24]], "shape_type": "rectangle", "flags": {}}
        made = {"version": "5.0", "shapes": [shape], "imagePath": file.name, "imageHeight": 48, "imageWidth": 64}
        file.with_suffix(".json").write_text(json.dumps(made))
    return check(yaml)


@row(
    "2.14",
    "Pascal VOC x.xml beside the images",
    "can start: False; error file-no-labels, error split-val-empty, warning balance-empty",
)
def _voc(place: Path) -> str:
    yaml = foreign(place)
    for file in place.glob("images/*/*.jpg"):
        file.with_suffix(".xml").write_text(voc_of(file.name))
    return check(yaml)


def voc_of(name: str) -> str:
    """Return a Pascal VOC file with one box."""
    return (
        f"<annotation><filename>{name}</filename><size><width>64</width><height>48</height><depth>3</depth></size>"
        "<object><name>a</name><bndbox><xmin>7</xmin><ymin>13</ymin><xmax>22</xmax><ymax>24</ymax></bndbox></object>"
        "</annotation>"
    )


@row(
    "2.14",
    "Supervisely img/ and ann/x.jpg.json",
    "can start: False; error file-no-labels, error split-val-empty, warning balance-empty",
)
def _supervisely(place: Path) -> str:
    dataset(place)
    shutil.rmtree(place / "labels")
    (place / "data.yaml").write_text("train: train/img\nval: val/img\nnames: [a, b]\n")
    for split_ in ("train", "val"):
        (place / split_ / "ann").mkdir(parents=True)
        (place / "images" / split_).rename(place / split_ / "img")
        for file in (place / split_ / "img").iterdir():
            points = {"exterior": [[6, 12], [22, 24]], "interior": []}
            one = {"classTitle": "a", "geometryType": "rectangle", "points": points}
            made = {"size": {"height": 48, "width": 64}, "objects": [one]}
            (place / split_ / "ann" / f"{file.name}.json").write_text(json.dumps(made))
    return check(place / "data.yaml")


@row(
    "2.14",
    "set.ndjson as data",
    "refused: /set.ndjson cannot be read as YAML: line 2: did not find expected <document start>",
)
def _ndjson(place: Path) -> str:
    dataset(place)
    head = {"type": "dataset", "task": "detect", "class_names": {"0": "a", "1": "b"}}
    lines = [head]
    for file in sorted(place.glob("images/*/*")):
        one = {"type": "image", "file": f"images/{file.parent.name}/{file.name}", "width": 64, "height": 48}
        lines.append({**one, "split": file.parent.name, "annotations": {"boxes": [[0, 0.5, 0.5, 0.2, 0.2]]}})
    (place / "set.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return check(place / "set.ndjson")


@row(
    "2.14",
    "a .7z, a .rar",
    "refused: /set.7z is in UTF-16; save it as UTF-8 (Windows Notepad: Save as, Encoding UTF-8; PowerShel",
)
def _seven(place: Path) -> str:
    (place / "set.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(64))
    (place / "set.rar").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(64))
    return f"{check(place / 'set.7z')}\n{check(place / 'set.rar')}"


@row("2.14", "zip with data.yaml three folders deep", "refused: data: … sh")
def _deep_zip(place: Path) -> str:
    dataset(place / "in" / "a" / "b" / "c")
    text = "train: images/train\nval: images/val\nnames: [a, b]\n"
    (place / "in/a/b/c/data.yaml").write_text(text)
    return check(Path(shutil.make_archive(str(place / "set"), "zip", place / "in")))


@row("2.15", "confidence column", "can start: False; error label-columns, error split-val-empty")
def _confidence(place: Path) -> str:
    return check(dataset(place, label="0 0.5 0.5 0.2 0.2 0.87\n1 0.3 0.4 0.1 0.2 0.31\n"))


@row("2.15", "tracker ids", "can start: False; error label-columns, error split-val-empty")
def _tracker(place: Path) -> str:
    return check(dataset(place, label="0 0.5 0.5 0.2 0.2 17\n1 0.3 0.4 0.1 0.2 31\n"))


@row("2.15", "xywhr under obb", "can start: False; error label-columns, error split-val-empty")
def _xywhr(place: Path) -> str:
    return check(dataset(place, label="0 0.5 0.5 0.2 0.2 0.7854\n1 0.3 0.4 0.1 0.2 -0.2\n"), "obb")


@row("2.15", "COCO-pose rows under detect and segment", "can start: False; error label-columns, error split-val-empty")
def _pose_rows(place: Path) -> str:
    values = " ".join(f"0.{40 + n} 0.{50 + n} {n % 3}" for n in range(17))
    yaml = dataset(place, label=f"0 0.5 0.5 0.2 0.2 {values}\n")
    return f"{check(yaml)}\n{check(yaml, 'segment')}"


@row("2.15", "DOTA rows under obb", "can start: False; error label-not-number, error split-val-empty")
def _dota(place: Path) -> str:
    rows = "imagesource:GoogleEarth\ngsd:0.14\n10 10 30 10 30 20 10 20 a 0\n5 5 20 5 20 15 5 15 b 1\n"
    return check(dataset(place, label=rows), "obb")


@row(
    "2.15",
    "classes: instead of names:",
    "refused: /data.yaml has 1 problem /   names: names: must list the classes, e.g. names: [red_car, car",
)
def _classes_key(place: Path) -> str:
    yaml = dataset(place)
    yaml.write_text(yaml.read_text().replace("names:", "classes:"))
    return check(yaml)


@row("2.15", "stray quote in path:", "can start: True")
def _quote(place: Path) -> str:
    yaml = dataset(place)
    yaml.write_text(yaml.read_text().replace(f"path: {place}", f"path: {place}'"))
    return check(yaml)


@row(
    "2.15",
    "classify: extra class in val, missing class in val",
    "refused: data:  has 1 problem /   /val has class folders that train lacks: z",
)
def _class_folders(place: Path) -> str:
    for at, folder in enumerate(("train/a", "train/b", "train/c", "val/a", "val/b", "val/z")):
        for number in range(3):
            picture(place / folder / f"{number}.jpg", 10 * at + number)
    return check(place, "classify")


@row("2.15", "duplicate findings where val is train", "can start: False; error leak-exact, warning duplicate-exact")
def _val_is_train(place: Path) -> str:
    yaml = dataset(place)
    picture(place / "images/train/again.jpg", 0)
    (place / "labels/train/again.txt").write_text(BOX)
    yaml.write_text(yaml.read_text().replace("val: images/val", "val: images/train"))
    return check(yaml)


@row(
    "2.15",
    "balance advice where there is no label at all",
    "can start: False; error file-no-labels, error split-val-empty, warning balance-empty",
)
def _no_labels(place: Path) -> str:
    return check(foreign(place))


def answers(word: str = "") -> Iterator[tuple[Row, str]]:
    """Yield every row with what is said now."""
    importlib.import_module("tests.bench.public_reports")
    for one in ROWS:
        if word in one.number or word in one.name:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder).resolve()
                yield one, one.say(place).replace(str(place), "")


def main() -> None:
    """Print the table."""
    table = Table("row", "input", "before", "now", show_lines=True)
    for one, now in answers(*sys.argv[1:2]):
        table.add_row(*map(escape, (one.number, one.name, one.before, now)))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
