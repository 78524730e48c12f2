"""The scan of the data gate: images a second when nothing is known, when nothing has changed, and how both grow.

Photo-like JPEGs of 640x480 pixels with ten boxes each are made in a scratch folder. Every scan runs in a process of its
own, with a cache folder of its own; its memory is that process's peak, less what it held before the scan. Nothing is
dropped from the system's page cache, so the disk is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

_KINDS = 24
"""Different photos; the others are copies of their pixels with a comment of their own."""


def photo(seed: int) -> bytes:
    """Return a JPEG of about 60 kB that is about as much work to decode as a photo."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    image = np.zeros((480, 640, 3))
    for size, weight in ((8, 60), (32, 40), (128, 25), (480, 8)):
        noise = rng.integers(0, 255, (size, size, 3)).astype(np.uint8)
        image += np.asarray(Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)) * (weight / 133)
    out = BytesIO()
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def make(root: Path, count: int) -> int:
    """Write images and labels, a tenth of them as val; return the bytes of the images."""
    photos, rng, total = [photo(seed) for seed in range(_KINDS)], random.Random(0), 0
    for number in range(count):
        split = "val" if number % 10 == 0 else "train"
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        body, said = photos[number % _KINDS], f"{number:016d}".encode()
        content = body[:2] + b"\xff\xfe" + (len(said) + 2).to_bytes(2, "big") + said + body[2:]
        total += (root / "images" / split / f"{number:07d}.jpg").write_bytes(content)
        rows = (f"{rng.randrange(3)} {' '.join(f'{rng.uniform(0.2, 0.4):.6f}' for _ in range(4))}" for _ in range(10))
        (root / "labels" / split / f"{number:07d}.txt").write_text("\n".join(rows) + "\n")
    return total


def memory_mb(what: str) -> float:
    """Return this process's memory now (``VmRSS``) or at its highest (``VmHWM``), in MiB; Linux only."""
    (line,) = (text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(what))
    return int(line.split()[1]) / 1024


def scan_once(root: Path, count: int, workers: int | None) -> None:
    """Scan the first images and print seconds and memory as JSON: what the bench's processes run."""
    from yolosweep.data.checks.image_findings import image_findings
    from yolosweep.data.checks.label_findings import label_findings
    from yolosweep.data.model.dataset_items import Item, Layout
    from yolosweep.data.scan.dataset_scan import scan

    splits = {}
    for split in ("train", "val"):
        images = [path for path in sorted((root / "images" / split).iterdir()) if int(path.stem) < count]
        splits[split] = tuple(Item(path, root / "labels" / split / f"{path.stem}.txt") for path in images)
    names = {0: "a", 1: "b", 2: "c"}
    layout = Layout(task="detect", source=root / "data.yaml", root=root, names=names, splits=splits)
    before = memory_mb("VmRSS")
    began = time.perf_counter()
    pictures, labels = scan(layout, workers=workers)
    seconds = time.perf_counter() - began
    peak = memory_mb("VmHWM")
    began = time.perf_counter()
    found = image_findings(layout, pictures) + label_findings(layout, labels)
    told = {"seconds": seconds, "mb": peak - before, "findings": time.perf_counter() - began}
    print(json.dumps({**told, "codes": sorted({finding.code for finding in found})}))


def main(words: list[str] | None = None) -> None:
    """Run the bench and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--images", type=int, default=3000)
    arguments.add_argument("--workers", type=int, help="reader processes (default: as many as CPU cores)")
    arguments.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    asked = arguments.parse_args(words)
    if asked.once:
        scan_once(asked.once, asked.images, asked.workers)
        return
    table = Table(title=f"Scan ({len(os.sched_getaffinity(0))} cores)", title_justify="left")
    for column in ("images", "", "s", "images/s", "findings, s", "memory, MiB", "codes", "load"):
        table.add_column(column)
    with tempfile.TemporaryDirectory(prefix="yolosweep-bench-") as scratch:
        size = make(Path(scratch) / "set", asked.images)
        more = ["--workers", str(asked.workers)] if asked.workers is not None else []
        for count in (asked.images // 3, asked.images):
            for run in ("cold", "unchanged"):
                command = [sys.executable, "-m", "tests.bench.scan", "--once", f"{scratch}/set", "--images", str(count)]
                environment = {**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache{count}"}
                load = os.getloadavg()[0]
                done = subprocess.run([*command, *more], env=environment, stdout=subprocess.PIPE, text=True, check=True)
                told = json.loads(done.stdout)
                table.add_row(
                    f"{count:,}", run, f"{told['seconds']:.2f}", f"{count / told['seconds']:,.0f}",
                    f"{told['findings']:.2f}", f"{told['mb']:.0f}", " ".join(told["codes"]) or "-", f"{load:.1f}",
                )  # fmt: skip
    Console(width=120).print(table)
    print(f"{size / asked.images / 1024:.0f} KiB an image")


if __name__ == "__main__":
    main()
