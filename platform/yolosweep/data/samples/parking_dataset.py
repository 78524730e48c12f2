"""The parking sample: a drawn detection dataset, so that a whole sweep runs without downloads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from yolosweep.data.samples.parking_scene import NAMES, Box, scene
from yolosweep.errors import UsageError

__all__ = ["IMAGES", "draw_parking"]

IMAGES = {"train": 160, "val": 48, "test": 48}
"""Default number of images per split."""


def draw_parking(
    folder: Path,
    *,
    images: Mapping[str, int] | None = None,
    size: int = 128,
    seed: int = 0,
    empty_share: float = 0.1,
) -> Path:
    """Draw a detection dataset in Ultralytics' layout and return the path of its ``data.yaml``.

    The same arguments write the same bytes (with the same numpy and Pillow). Scenes differ between splits, and an
    image does not depend on the number of images.

    Args:
        folder: Target folder; created if missing.
        images: Images per split; 160 train, 48 val and 48 test by default.
        size: Side of the images, pixels.
        seed: Other seeds draw other scenes.
        empty_share: Share of each split's images without cars; they have an empty label file.

    Raises:
        UsageError: The folder is not empty, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder and is not overwritten; name another folder")
    counts = dict(IMAGES if images is None else images)
    for split, count in counts.items():
        photos, labels = folder / "images" / split, folder / "labels" / split
        photos.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in range(count):
            empty = int((index + 1) * empty_share) > int(index * empty_share)
            image, boxes = scene(np.random.default_rng([seed, index, *split.encode()]), size, empty=empty)
            image.save(photos / f"{split}_{index:04d}.jpg", quality=92)
            (labels / f"{split}_{index:04d}.txt").write_text("".join(_label(box, size) for box in boxes))
    lines = [f"{split}: images/{split}\n" for split in counts]
    names = [f"  {number}: {name}\n" for number, name in NAMES.items()]
    # Without `path` Ultralytics uses this file's folder; `path: .` would mean the working directory.
    (folder / "data.yaml").write_text("".join([*lines, "names:\n", *names]))
    return folder / "data.yaml"


def _label(box: Box, size: int) -> str:
    """Return a YOLO label line: class, normalized center, width and height."""
    middle = ((box.left + box.right) / 2 / size, (box.top + box.bottom) / 2 / size)
    extent = ((box.right - box.left) / size, (box.bottom - box.top) / size)
    return f"{box.label} {middle[0]:.6f} {middle[1]:.6f} {extent[0]:.6f} {extent[1]:.6f}\n"
