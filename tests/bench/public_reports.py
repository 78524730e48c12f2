"""Rows for ``tests.bench.foreign_data``: splits, odd places, and inputs of public reports (data-2, sections 5 to 7)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image
from tests.bench.foreign_data import BOX, check, dataset, picture, row, split

SAME = "works"
"""What was said at 396f4ef was right."""


@row("5", "split of 3 images, and of 1", "1/1/1; train only, without a note")
def _few(place: Path) -> str:
    said = []
    for count in (3, 1):
        folder = place / str(count)
        for number in range(count):
            picture(folder / "images" / f"{number}.jpg", number)
            (folder / "labels").mkdir(exist_ok=True)
            (folder / "labels" / f"{number}.txt").write_text(BOX)
        said.append(split(folder, place / f"out{count}"))
    return "\n".join(said)


@row("5", "split of a folder without labels, and into a full folder", SAME)
def _no_labels(place: Path) -> str:
    picture(place / "in" / "a.jpg", 0)
    (place / "full").mkdir()
    (place / "full" / "x").touch()
    return f"{split(place / 'in', place / 'out')}\n{split(dataset(place / 'set'), place / 'full')}"


@row("6", "spaces, unicode, # and %20 in the path", SAME)
def _path(place: Path) -> str:
    return check(dataset(place / "my data #1 %20 é"))


@row("6", "no image, an empty folder, /dev/null, an image as data.yaml", SAME)
def _nothing(place: Path) -> str:
    (place / "empty").mkdir()
    yaml = dataset(place / "set")
    shutil.rmtree(place / "set" / "images")
    image = picture(place / "a.jpg", 0)
    return "\n".join(check(one) for one in (yaml, place / "empty", Path("/dev/null"), image))


@row("6", "zip, flat and with __MACOSX", SAME)
def _zip(place: Path) -> str:
    yaml = dataset(place / "set")
    yaml.write_text(yaml.read_text().replace(f"path: {place / 'set'}\n", ""))
    picture(place / "set" / "__MACOSX" / "images" / "train" / "._train0.jpg", 0)
    return check(Path(shutil.make_archive(str(place / "packed"), "zip", place / "set")))


@row("7", "hub#951: path: '' and test: null", SAME)
def _null(place: Path) -> str:
    yaml = dataset(place, yaml="test: null\n")
    yaml.write_text(yaml.read_text().replace(f"path: {place}", "path: ''"))
    return check(yaml)


@row("7", "cvat#9433: lists with BOM, CRLF, ./ and data/ prefix", SAME)
def _lists(place: Path) -> str:
    yaml = dataset(place)
    for part, prefix in (("train", "data/images/train/"), ("val", "./images/val/")):
        names = sorted(file.name for file in (place / "images" / part).iterdir())
        (place / f"{part}.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(prefix + name for name in names).encode())
    yaml.write_text("train: train.txt\nval: val.txt\nnames: [a, b]\n")
    return check(yaml)


@row("7", "roboflow-python#153: valid/ in place of val", SAME)
def _valid(place: Path) -> str:
    yaml = dataset(place)
    for kind in ("images", "labels"):
        (place / kind / "val").rename(place / kind / "valid")
    return check(yaml)


@row("7", "ultralytics#25657: boxes among polygons", SAME)
def _mixed(place: Path) -> str:
    return check(dataset(place, label=BOX + "0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n"), "segment")


@row("7", "ultralytics#2275: flip_idx counted from 1", SAME)
def _flips(place: Path) -> str:
    rows = "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 2\n"
    return check(dataset(place, label=rows, yaml="kpt_shape: [2, 3]\nflip_idx: [2, 1]\n"), "pose")


@row("7", "label-studio#5014: 1.0004", SAME)
def _rounding(place: Path) -> str:
    return check(dataset(place, label="0 0.9 0.5 0.2008 0.2\n1 0.5 1.0004 0.1 0.1\n"))


@row("7", "cvat#7523: two images with one stem", SAME)
def _stems(place: Path) -> str:
    yaml = dataset(place)
    picture(place / "images/train/train0.png", 77)
    return check(yaml)


@row("7", "ultralytics#19222: EXIF rotation", SAME)
def _exif(place: Path) -> str:
    yaml = dataset(place)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(place / "images/train/train0.jpg").save(place / "images/train/train0.jpg", exif=exif)
    return check(yaml)


@row("7", "YAML 1.1 names: no, on, null, 007, 12:30", SAME)
def _words(place: Path) -> str:
    yaml = dataset(place, names="[no, on, 007, 12:30]")
    return check(yaml)


@row("7", "ultralytics#14672: poly/images is a link", "refused; labels not found even when allowed")
def _linked_folder(place: Path) -> str:
    yaml = dataset(place / "store")
    (place / "poly").mkdir()
    os.symlink(place / "store" / "images", place / "poly" / "images")
    shutil.move(place / "store" / "labels", place / "poly" / "labels")
    yaml = yaml.rename(place / "poly" / "data.yaml")
    yaml.write_text("train: images/train\nval: images/val\nnames: [a, b]\n")
    return f"{check(yaml)}\n{check(yaml, anywhere=True)}"
