"""How fast a dataset is read: images a second at first and again, how it grows, and the memory it takes.

The photos are drawn (640 x 480 pixels, JPEG, all different) and come with a label file each. "First" reads and decodes
every file; "again" finds them unchanged. The gate as a whole, with the search for leaks, is timed beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table


def draw(folder: Path, count: int) -> Path:
    """Write a dataset of so many photos, a tenth of them in val."""
    base = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    smooth = Image.fromarray(base).resize((80, 60)).resize((640, 480), Image.Resampling.BICUBIC)
    for index in range(count):
        split = "val" if index % 10 == 0 else "train"
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        blobs = np.random.default_rng(index).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        photo = Image.blend(smooth, Image.fromarray(blobs).resize((640, 480), Image.Resampling.BICUBIC), 0.8)
        photo.save(folder / "images" / split / f"{index:06d}.jpg", quality=85)
        (folder / "labels" / split / f"{index:06d}.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.3 0.3 0.1 0.2\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")
    return folder / "data.yaml"


def main(words: list[str] | None = None) -> None:
    """Run the bench and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--images", type=int, default=6000, help="images of the largest set (default: %(default)s)")
    asked = arguments.parse_args(words)
    root = Path(tempfile.mkdtemp(prefix="yolosweep-bench-"))
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    from yolosweep.data import examine
    from yolosweep.data.layout import read_layout
    from yolosweep.data.scan import scan

    table = Table(title=f"Reading a dataset, {os.cpu_count()} cores", title_justify="left")
    for column in (
        "images",
        "scan, first",
        "images/s",
        "scan, again",
        "images/s",
        "whole gate, again",
        "peak of the parent",
    ):
        table.add_column(column, justify="right")
    try:
        for count in (asked.images // 4, asked.images):
            source = draw(root / str(count), count)
            seconds = []
            for work in (lambda: scan(read_layout(source, "detect")),) * 2 + (lambda: examine(str(source), "detect"),):  # noqa: B023
                began = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - began)
            first, again, whole = seconds
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            cells = (
                f"{first:.1f} s",
                f"{count / first:.0f}",
                f"{again:.2f} s",
                f"{count / again:.0f}",
                f"{whole:.2f} s",
            )
            table.add_row(str(count), *cells, f"{peak:.0f} MiB")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
