"""``yolosweep check`` on very many images: seconds, CPU seconds and memory, the first and the second time.

``python -m tests.bench.many_images BCCD FOLDER --images 100000`` writes JPEGs of 160x120 pixels to FOLDER (once):
mixtures of crops of photographs under noise. A tenth are altered copies of another image, a tenth frames of twenty
fixed cameras; a tenth of all is val. Then the check runs twice in processes of their own with an empty cache before.
Memory is the sum of the resident memory of the whole process tree at its peak, sampled twice a second.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tests.bench.picture_changes import jpeg, part, photographs

_SIZE = (160, 120)
_CAMERAS = 20


def write(bccd: Path, folder: Path, count: int) -> None:
    """Write the images and labels."""
    rng = np.random.default_rng(0)
    photos = [photo for _, photo in photographs(bccd, 400)]
    scenes = [mixture(rng, photos) for _ in range(_CAMERAS)]
    last = scenes[0]
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        if number % 10 == 1:
            image = altered(rng, last)
        elif number % 10 == 2:
            image = frame(rng, scenes[number // 10 % _CAMERAS])
        else:
            image = last = mixture(rng, photos)
        split = "val" if number % 10 in (1, 3) and number % 20 < 10 else "train"
        image.save(folder / "images" / split / f"{rng.integers(1 << 60):015x}{number:07d}.jpg", quality=85)
    for image in folder.glob("images/*/*"):
        x, y = rng.uniform(0.2, 0.8, 2)
        text = f"{int(rng.integers(3))} {x:.4f} {y:.4f} 0.2 0.2\n"
        (folder / "labels" / image.parent.name / f"{image.stem}.txt").write_text(text)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b, c]\n")


def cut(rng: np.random.Generator, photos: list[Image.Image]) -> np.ndarray:
    """Return a random crop of a random photograph, a fifth to a half of its sides."""
    photo = photos[rng.integers(len(photos))]
    share = rng.uniform(0.2, 0.5)
    width, height = int(photo.width * share), int(photo.height * share)
    left, top = int(rng.integers(photo.width - width)), int(rng.integers(photo.height - height))
    small = photo.resize(_SIZE, Image.Resampling.BILINEAR, (left, top, left + width, top + height))
    return np.asarray(small, dtype=np.float32)


def mixture(rng: np.random.Generator, photos: list[Image.Image]) -> Image.Image:
    """Return two crops laid over each other, under sensor noise."""
    share = rng.uniform(0.4, 0.6)
    values = share * cut(rng, photos) + (1 - share) * cut(rng, photos)
    values = (values - values.mean()) * 1.4 + values.mean() + rng.normal(0, 4, values.shape)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def altered(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Return a copy, changed in one of four ways."""
    way = int(rng.integers(4))
    if way == 0:
        return jpeg(image, 50)
    if way == 1:
        return part(image, 0.05, 0.05, 0.03, 0).resize(_SIZE)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT if way == 2 else Image.Transpose.ROTATE_90)


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


def main() -> None:
    """Run the bench and print its lines."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("bccd", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--images", type=int, default=100_000)
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
        print(f"{run}: {seconds:.0f} s, {cpu:.0f} CPU s, {asked.images / cpu:,.0f} images per CPU s, {peak:.0f} MiB")


if __name__ == "__main__":
    main()
