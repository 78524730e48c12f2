"""The search for repeated pictures: seconds and memory as a set grows, and what one look costs.

The looks are those of drawn scenes (smooth blobs over noise), a tenth of them in a changed copy, so that there is
something to find. Every size runs in a process of its own; its memory is the peak of resident memory, less what the
same process held with the looks loaded. Then bursts of the photos are split by ours and by Ultralytics' ``autosplit``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from yolosweep.data.alike import find_alike
from yolosweep.data.likeness import look_of

SIZES = (10_000, 30_000, 100_000)


def drawn_looks(count: int, seed: int = 0) -> dict[Path, str]:
    """Return looks of ``count`` different drawn scenes, every tenth a brighter, cropped, mirrored copy of another."""
    rng = np.random.default_rng(seed)
    looks: dict[Path, str] = {}
    while len(looks) < count:
        coarse = Image.fromarray(rng.uniform(0, 255, (9, 9)).astype(np.float32))
        scene = np.asarray(coarse.resize((48, 48), Image.Resampling.BICUBIC)) + rng.normal(0, 20, (48, 48))
        image = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
        looks[Path(f"/set/{len(looks):06d}.jpg")] = look_of(image)
        if len(looks) % 10 == 9:
            copy = image.crop((2, 1, 47, 46)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(lambda v: v * 0.8)
            looks[Path(f"/set/{len(looks):06d}.jpg")] = look_of(copy)
    return looks


def resident_mb() -> float:
    """Return the peak of resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(count: int) -> None:
    """Measure one size and print its line."""
    looks = drawn_looks(count)
    digests = {file: str(file) for file in looks}
    before, start = resident_mb(), time.perf_counter()
    pairs = find_alike(looks, digests, pixels=lambda file: "")
    seconds = time.perf_counter() - start
    print(
        f"{count:>8,} looks: {seconds:7.1f} s, {count / seconds:8,.0f} images/s, peak {resident_mb():6.0f} MiB"
        f" ({resident_mb() - before:.0f} MiB of it the search), {len(pairs):,} of {count // 10:,} copies found",
        flush=True,
    )


def look_cost() -> None:
    """Print what one look of a 640 px photo costs, decoded already."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (640, 640, 3), dtype=np.uint8))
    start = time.perf_counter()
    for _ in range(200):
        look_of(image)
    print(f"look_of, 640x640 RGB: {(time.perf_counter() - start) / 200 * 1000:.2f} ms")


def main() -> None:
    """Run the bench and print its lines."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    arguments.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.one:
        search(asked.one)
        return
    look_cost()
    for count in asked.sizes:
        subprocess.run([sys.executable, "-m", "tests.bench.leaks", "--one", str(count)], check=True)


if __name__ == "__main__":
    main()
