"""``yolosweep check`` on very many images: seconds, CPU seconds and memory, the first and the second time.

``python -m tests.bench.many_images BCCD FOLDER --images 100000`` writes JPEGs of 160x120 pixels to FOLDER (once):
mixtures of crops of photographs under noise. A tenth are altered copies of another image, a tenth frames of twenty
fixed cameras; a tenth of all is val. Then the check runs twice in processes of their own with an empty cache before.
Memory is the sum of the resident memory of the whole process tree at its peak, sampled twice a second.

Pairs that the check calls copies and that were not planted are counted by what they are: frames of one camera, images
that hold much of the same part of a photograph, and others. ``--sheets FOLDER`` draws twenty of each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from tests.bench.picture_changes import jpeg, part, photographs

_SIZE = (160, 120)
_CAMERAS = 20
_OVERLAP = 0.5
"""Crops of one photograph overlap if they share so much of the smaller one."""


class Crop(NamedTuple):
    """A part of a photograph."""

    photo: int
    left: int
    top: int
    width: int
    height: int

    def overlaps(self, other: Crop) -> bool:
        """Return whether two crops show much of the same."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        least = _OVERLAP * min(self.width * self.height, other.width * other.height)
        return self.photo == other.photo and across > 0 and down > 0 and across * down >= least


class Box(NamedTuple):
    """The labelled object of an image, as a row of its label file."""

    category: int
    x: float
    y: float
    width: float = 0.2
    height: float = 0.2


class Made(NamedTuple):
    """What an image was made of."""

    name: str
    source: int
    """Number of the image that it is a copy of, or its own; of a camera's frames: below 0, the same for all."""
    crops: Sequence[Crop]


def write(bccd: Path, folder: Path, count: int) -> None:
    """Write the images and labels."""
    rng, places = np.random.default_rng(0), np.random.default_rng(1)
    photos = [photo for _, photo in photographs(bccd, 400)]
    scenes = [mixture(rng, photos) for _ in range(_CAMERAS)]
    last, crops = scenes[0]
    last_box = Box(0, 0.5, 0.5)
    made: list[Made] = []
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        source, shown = number, crops
        box = Box(int(places.integers(3)), *places.uniform(0.2, 0.8, 2))
        if number % 10 == 1:
            (image, box), source = altered(rng, last, last_box), number - 1
        elif number % 10 == 2:
            scene, shown = scenes[number // 10 % _CAMERAS]
            image, source = frame(rng, scene), -1 - number // 10 % _CAMERAS
        else:
            last, crops = mixture(rng, photos)
            image, shown, last_box = last, crops, box
        split = "val" if number % 10 in (1, 3) and number % 20 < 10 else "train"
        made.append(Made(f"{split}/{rng.integers(1 << 60):015x}{number:07d}.jpg", source, shown))
        image.save(folder / "images" / made[-1].name, quality=85)
        label = (folder / "labels" / made[-1].name).with_suffix(".txt")
        label.write_text(" ".join(f"{value:.4g}" for value in box) + "\n")
    (folder / "made.json").write_text(json.dumps(made))
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b, c]\n")


def cut(rng: np.random.Generator, photos: list[Image.Image]) -> tuple[np.ndarray, Crop]:
    """Return a random crop of a random photograph, a fifth to a half of its sides."""
    number = int(rng.integers(len(photos)))
    photo = photos[number]
    share = rng.uniform(0.2, 0.5)
    width, height = int(photo.width * share), int(photo.height * share)
    left, top = int(rng.integers(photo.width - width)), int(rng.integers(photo.height - height))
    small = photo.resize(_SIZE, Image.Resampling.BILINEAR, (left, top, left + width, top + height))
    return np.asarray(small, dtype=np.float32), Crop(number, left, top, width, height)


def mixture(rng: np.random.Generator, photos: list[Image.Image]) -> tuple[Image.Image, tuple[Crop, Crop]]:
    """Return two crops laid over each other, under sensor noise."""
    share = rng.uniform(0.4, 0.6)
    (one, first), (two, second) = cut(rng, photos), cut(rng, photos)
    values = share * one + (1 - share) * two
    values = (values - values.mean()) * 1.4 + values.mean() + rng.normal(0, 4, values.shape)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), (first, second)


def altered(rng: np.random.Generator, image: Image.Image, box: Box) -> tuple[Image.Image, Box]:
    """Return a copy, changed in one of four ways, and where its object is."""
    way = int(rng.integers(4))
    if way == 0:
        return jpeg(image, 50), box
    if way == 1:
        moved = Box(box.category, (box.x - 0.05) / 0.92, (box.y - 0.05) / 0.95, box.width / 0.92, box.height / 0.95)
        return part(image, 0.05, 0.05, 0.03, 0).resize(_SIZE), moved
    if way == 2:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), box._replace(x=1 - box.x)
    turned = Box(box.category, box.y, 1 - box.x, box.height, box.width)
    return image.transpose(Image.Transpose.ROTATE_90), turned


def frame(rng: np.random.Generator, scene: Image.Image) -> Image.Image:
    """Return a scene at another moment: other objects, other noise."""
    image = scene.copy()
    for _ in range(int(rng.integers(1, 6))):
        x, y = int(rng.integers(_SIZE[0] - 20)), int(rng.integers(_SIZE[1] - 15))
        color = tuple(int(v) for v in rng.integers(0, 256, 3))
        ImageDraw.Draw(image).rectangle((x, y, x + int(rng.integers(6, 20)), y + int(rng.integers(5, 15))), color)
    values = np.asarray(image, dtype=np.float32) * rng.uniform(0.85, 1.1) + rng.normal(0, 4, (_SIZE[1], _SIZE[0], 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def tree_mb(root: int) -> float:
    """Return the resident memory of a process and its descendants, MiB; Linux only."""
    children: dict[int, list[int]] = {}
    memory: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        memory[int(folder.name)] = int(fields[21]) * resource.getpagesize() / 2**20
    total, todo = 0.0, [root]
    while todo:
        process = todo.pop()
        total += memory.get(process, 0.0)
        todo += children.get(process, [])
    return total


def check(folder: Path, cache: Path) -> tuple[float, float, float]:
    """Run the check; return wall seconds, CPU seconds and peak memory in MiB."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before, began, peak = used.ru_utime + used.ru_stime, time.perf_counter(), 0.0
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "yolosweep", "check", str(folder / "data.yaml"), "--fail-on", "error"]
    with (folder.parent / "check.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, tree_mb(process.pid))
            time.sleep(0.5)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, used.ru_utime + used.ru_stime - before, peak


class Found(NamedTuple):
    """What the check calls copies."""

    planted: float
    """Share of the planted copies."""
    frames: list[tuple[Made, Made]]
    """Of those not planted: two moments of one camera."""
    overlapping: list[tuple[Made, Made]]
    """Two images that hold much of the same part of a photograph."""
    others: list[tuple[Made, Made]]


def found_in(folder: Path, cache: Path) -> Found:
    """Read what the check kept in its cache."""
    images = [
        Made(name, source, [Crop(*crop) for crop in crops])
        for name, source, crops in json.loads((folder / "made.json").read_text())
    ]
    planted = sum(0 <= image.source != number for number, image in enumerate(images))
    images.sort(key=lambda image: Path(image.name))
    (file,) = cache.rglob("pairs-*.json")
    pairs = [(images[one], images[two]) for one, two, kind in json.loads(file.read_text()) if kind in ("exact", "near")]
    right = {one.source for one, two in pairs if one.source == two.source >= 0}
    found = Found(len(right) / max(1, planted), [], [], [])
    for one, two in pairs:
        if one.source == two.source < 0:
            found.frames.append((one, two))
        elif one.source != two.source:
            shared = any(mine.overlaps(other) for mine in one.crops for other in two.crops)
            (found.overlapping if shared else found.others).append((one, two))
    return found


def draw(folder: Path, pairs: Sequence[tuple[Made, Made]], columns: int = 5, scale: int = 2) -> Image.Image:
    """Return a sheet of pairs, the two images of each side by side."""
    width, height = (scale * side for side in _SIZE)
    sheet = Image.new("RGB", (columns * (2 * width + 10), -(-len(pairs) // columns) * (height + 10)), "white")
    for place, pair in enumerate(pairs):
        for side, image in enumerate(pair):
            with Image.open(folder / "images" / image.name) as picture:
                shown = picture.resize((width, height))
            sheet.paste(shown, (place % columns * (2 * width + 10) + side * width, place // columns * (height + 10)))
    return sheet


def main() -> None:
    """Run the bench and print its lines."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("bccd", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--images", type=int, default=100_000)
    arguments.add_argument("--sheets", type=Path, help="a folder for pictures of twenty pairs of each kind")
    asked = arguments.parse_args()
    folder = asked.folder.absolute() / f"set{asked.images}"
    if not (folder / "data.yaml").is_file():
        began = time.perf_counter()
        write(asked.bccd, folder, asked.images)
        print(f"{asked.images:,} images written in {time.perf_counter() - began:.0f} s", flush=True)
    cache = asked.folder.absolute() / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    for run in ("first", "second"):
        seconds, cpu, peak = check(folder, cache)
        rate = asked.images / cpu
        print(f"{run}: {seconds:.0f} s, {cpu:.0f} CPU s, {rate:,.0f} images per CPU s, {peak:.0f} MiB", flush=True)
    found = found_in(folder, cache)
    print(f"{found.planted:.1%} of the planted copies found; other pairs called copies:")
    for kind in ("frames", "overlapping", "others"):
        pairs = getattr(found, kind)
        print(f"{len(pairs):6} {kind}")
        if asked.sheets and pairs:
            some = random.Random(0).sample(pairs, min(20, len(pairs)))
            draw(folder, some).save(asked.sheets / f"{kind}.png")


if __name__ == "__main__":
    main()
