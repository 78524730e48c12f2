"""A parking lot as fixed cameras see it: the same place for weeks, cars that come and go, nobody on Sundays.

Each camera has its own painted ground. Light and sensor noise change with every frame; the same arguments draw the same
pixels. ``python -m tests.tools.parking_lot FOLDER`` writes images, labels and a data.yaml that is split by day.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

FIRST = datetime(2026, 3, 2)  # a Monday
NAMES = {0: "car", 1: "van"}
WIDTH, HEIGHT = 640, 360
_PAINTS = ((200, 200, 205), (35, 35, 40), (150, 30, 30), (40, 60, 120), (230, 230, 230), (90, 95, 100), (60, 90, 60))


@dataclass(frozen=True)
class Bay:
    """Place of one car, in pixels."""

    left: int
    top: int
    width: int
    height: int


def bays_of(camera: int) -> list[Bay]:
    """Return the bays of a camera: three rows, the nearer the larger."""
    bays = []
    for row, (top, width) in enumerate(((130, 26), (195, 32), (275, 40))):
        shift = 9 * camera + 5 * row
        bays += [
            Bay(30 + shift + k * (width + 14), top + 3 * camera, width, width * 2 // 3) for k in range(13 - 2 * row)
        ]
    return bays


def ground(camera: int, seed: int) -> Array:
    """Return the empty lot of a camera: asphalt, lines, a wall and trees, shape (HEIGHT, WIDTH, 3)."""
    rng = np.random.default_rng([seed, camera])
    coarse = Image.fromarray(rng.uniform(80, 120, (9 + camera, 16)).astype(np.float32))
    scene = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))[..., None].repeat(3, 2).copy()
    scene += rng.normal(0, 3, (HEIGHT, WIDTH, 1))
    scene[: 60 + 8 * camera] = rng.uniform(120, 190, 3)
    for _ in range(9):
        x, y, size = rng.integers(0, WIDTH - 50), rng.integers(20, 70), rng.integers(18, 50)
        scene[y : y + size, x : x + size] = rng.uniform(30, 110, 3) + rng.normal(
            0, 14, (size, len(range(x, x + size)), 1)
        )
    for bay in bays_of(camera):
        for x in (bay.left - 6, bay.left + bay.width + 6):
            scene[bay.top - 8 : bay.top + bay.height + 8, x : x + 2] = 215
    return scene


def moments(days: int, per_day: int) -> list[datetime]:
    """Return the times of a camera's frames, in daylight, not at the same minutes each day."""
    step = 10 * 60 // per_day
    return [
        FIRST + timedelta(days=day, minutes=8 * 60 + k * step + (day * 7 + k * 11) % step)
        for day in range(days)
        for k in range(per_day)
    ]


def frames(camera: int, times: list[datetime], seed: int) -> Iterator[tuple[datetime, Image.Image, str]]:
    """Yield time, image and label text of each frame of a camera."""
    rng = np.random.default_rng([seed, 100 + camera])
    scene, bays = ground(camera, seed), bays_of(camera)
    parked: list[tuple[int, Array] | None] = [None] * len(bays)
    across = np.linspace(-1, 1, WIDTH)[None, :, None]
    for time in times:
        sunday = time.weekday() == 6
        for k in range(len(bays)):
            if sunday:
                parked[k] = None
            elif rng.random() < 0.3:
                paint = np.array(_PAINTS[rng.integers(len(_PAINTS))]) + rng.normal(0, 8, 3)
                parked[k] = (int(rng.random() < 0.06), paint) if rng.random() < 0.5 else None
        image, rows = scene.copy(), []
        for bay, car in zip(bays, parked, strict=True):
            if car is not None:
                rows.append(_park(image, bay, *car))
        noon = (time.hour + time.minute / 60 - 13) / 5
        light = (1.05 - 0.25 * noon**2) * rng.uniform(0.85, 1.1)
        image = image * (light * (1 + 0.12 * noon * across)) + rng.normal(0, 4, (HEIGHT, WIDTH, 1))
        yield time, Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)), "".join(rows)


def _park(image: Array, bay: Bay, kind: int, paint: Array) -> str:
    top = bay.top - (bay.height // 3 if kind else 0)
    body = image[top : bay.top + bay.height, bay.left : bay.left + bay.width]
    body[:] = paint
    body[bay.height // 4 : bay.height // 2, bay.width // 5 : -bay.width // 5] = paint * 0.4 + 20
    image[bay.top + bay.height : bay.top + bay.height + 3, bay.left : bay.left + bay.width] *= 0.5
    height = bay.top + bay.height - top
    values = (
        (bay.left + bay.width / 2) / WIDTH, (top + height / 2) / HEIGHT, bay.width / WIDTH, height / HEIGHT,
    )  # fmt: skip
    return f"{kind} " + " ".join(f"{value:.6f}" for value in values) + "\n"


def draw_parking_lot(
    folder: Path, *, cameras: int = 4, days: int = 42, count: int = 600, seed: int = 0, val_days: int = 8
) -> Path:
    """Draw the data set and return its data.yaml; val holds the last days of every camera.

    Args:
        folder: Target folder.
        cameras: Number of cameras.
        days: Days from the first to the last frame.
        count: Frames of all cameras together.
        seed: Other seeds draw other lots.
        val_days: Days of val.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    each = count // cameras
    per_day = -(-each // days)
    times = moments(days, per_day)
    times = [times[k * len(times) // each] for k in range(each)]
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for camera in range(cameras):
        for time, image, rows in frames(camera, times, seed):
            name = f"cam{camera + 1}_{time:%Y-%m-%d_%H%M}"
            image.save(folder / "images" / f"{name}.jpg", quality=90)
            (folder / "labels" / f"{name}.txt").write_text(rows)
            late = time >= FIRST + timedelta(days=days - val_days)
            lists["val" if late else "train"].append(f"./images/{name}.jpg\n")
    for split, lines in lists.items():
        (folder / f"{split}.txt").write_text("".join(lines))
    names = "".join(f"  {number}: {name}\n" for number, name in NAMES.items())
    (folder / "data.yaml").write_text(f"train: train.txt\nval: val.txt\nnames:\n{names}")
    return folder / "data.yaml"


if __name__ == "__main__":
    print(draw_parking_lot(Path(sys.argv[1])))
