"""What ``train.balance`` does for a rare class: its recall on val, with and without, over several seeds.

The data set is drawn: of 20 training images one shows the rare class, the others the frequent one or nothing. In val
both classes are equally frequent. Recall is Ultralytics' own, at the confidence with the best mean F1; AP50 is told
beside it, because it hangs on no threshold.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.bench.rig import Line, Rig, line, parser, rig, show

from yolosweep.backends import trainer_for
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, TrialPolicy, TrialRequest, Verdict

EVERY = 20
"""One image in so many shows the rare class."""
NAMES = ("frequent", "rare")
COLOURS = ((60, 90, 200), (120, 60, 190))
MEASURES = {"recall": "metrics/recall(B)", "AP50": "metrics/mAP50(B)"}


def draw(folder: Path, images: dict[str, int], size: int) -> Path:
    """Draw the data set and return its data.yaml."""
    for split, count in images.items():
        generator = np.random.default_rng([7, *split.encode()])
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            train = [1] if number % EVERY == 0 else [0] if number % 2 else []
            shown = train if split == "train" else [number % 2]
            pixels, rows = _picture(generator, shown, size)
            Image.fromarray(pixels).save(folder / "images" / split / f"{number:04d}.png")
            (folder / "labels" / split / f"{number:04d}.txt").write_text("".join(rows))
    names = ", ".join(NAMES)
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: [{names}]\n")
    return folder / "data.yaml"


def _picture(generator: np.random.Generator, shown: list[int], size: int) -> tuple[np.ndarray, list[str]]:
    """Return noise with two coloured rectangles per class shown, and their label rows."""
    pixels = generator.normal(generator.uniform(90, 150), 25, (size, size, 3))
    rows = []
    for category in shown:
        for half in (0, 1):  # one in the left half, one in the right: they never overlap
            w, h = generator.integers(size // 6, size // 3, 2)
            x, y = half * size // 2 + generator.integers(0, size // 2 - w), generator.integers(0, size - h)
            pixels[y : y + h, x : x + w] = np.array(COLOURS[category]) + generator.normal(0, 20, (h, w, 3))
            middle = f"{(x + w / 2) / size:.6f} {(y + h / 2) / size:.6f}"
            rows.append(f"{category} {middle} {w / size:.6f} {h / size:.6f}\n")
    return np.clip(pixels, 0, 255).astype(np.uint8), rows


def trained(bench: Rig, seed: int, balance: float) -> dict[str, dict[str, Any]]:
    """Train once and return the measures of each class on val."""
    folder = bench.root / f"run-{seed}-{balance:g}"
    request = TrialRequest(
        sweep="bench", trial="t0000", number=0, task="detect", model=bench.model, data=str(bench.data), asked={},
        identity="i", metric="metrics/mAP50-95(B)", folder=str(folder), cpus=bench.threads,
        policy=TrialPolicy(image_cache="off", checkpoint_every=10**6),
        settings={**bench.train(), "seed": seed, "verbose": False, "balance": balance, "close_mosaic": 2},
    )  # fmt: skip
    trainer = trainer_for(request.model)
    record = trainer.train(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    if record.ending is not Ending.FINISHED:
        raise RuntimeError(record.reason)
    weights = RunFolder(folder).resolve(record.files["last.pt"])
    settings = {"imgsz": bench.imgsz, "batch": bench.batch}
    found = trainer.validate(weights, task="detect", data=str(bench.data), split="val", settings=settings, gpus=0)
    return {name: found.per_class.get(name, {}) for name in NAMES}


def measure(bench: Rig, strength: float) -> list[Line]:
    """Train in turns without and with, and return the table."""
    strengths = (0.0, strength)
    found = {(seed, s): trained(bench, seed, s) for seed in range(bench.repeats) for s in strengths}
    lines = []
    for name in reversed(NAMES):
        for what, key in MEASURES.items():
            for s in strengths:
                values = [float(found[seed, s][name].get(key) or 0) for seed in range(bench.repeats)]
                each = " ".join(f"{value:.3f}" for value in values)
                lines.append(line(f"{what} of {name}, balance {s:g}: {each}", values, unit=""))
    return lines


def main(words: list[str] | None = None) -> list[Line]:
    """Run the bench, print its table and return its lines."""
    asked = parser(__doc__, epochs=10, repeats=3)
    asked.add_argument("--images", type=int, default=160, help="training images")
    asked.add_argument("--strength", type=float, default=1.0, help="train.balance, compared to 0")
    asked.set_defaults(imgsz=64, batch=8)
    chosen: Namespace = asked.parse_args(words)
    with tempfile.TemporaryDirectory() as place:
        chosen.data = draw(Path(place) / "drawn", {"train": chosen.images, "val": 60}, chosen.imgsz)
        with rig(chosen) as bench:
            lines = measure(bench, chosen.strength)
            show(f"A rare class, 1 to {EVERY - 1}, over {bench.repeats} seeds", lines, bench)
    return lines


if __name__ == "__main__":
    main()
