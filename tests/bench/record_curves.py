"""Record real curves for the simulator: seeded random configurations, trained one after the other on one CPU thread.

Each line of the table is one training: 12 epochs of yolo11n from weights that the other data trained, nbs = batch.
Configuration 0 is the defaults; every fourth configuration is trained with a second seed. Data are BCCD and the
parking sample of this project, at most 80 images of train and 30 of val, each with AdamW and with SGD and other
configurations. With SGD the weights were trained with it, too, and have learned little. A training is added to the
table when it has ended, and a later run continues after the last one:

    OMP_NUM_THREADS=1 python -m tests.bench.record_curves --file tests/bench/curves.csv --data ../shared/data/bccd
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SPACE: dict[str, dict[str, Any]] = {
    "lr0": {"distribution": "log_uniform_values", "min": 2e-4, "max": 0.03},
    "lrf": {"distribution": "log_uniform_values", "min": 0.01, "max": 1.0},
    "momentum": {"min": 0.7, "max": 0.98},
    "weight_decay": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
    "warmup_epochs": {"min": 0.0, "max": 5.0},
    "batch": {"values": [4, 8, 16]},
    "imgsz": {"values": [64, 96, 128]},
    "mosaic": {"min": 0.0, "max": 1.0},
    "hsv_h": {"min": 0.0, "max": 0.1},
    "hsv_s": {"min": 0.0, "max": 0.9},
    "hsv_v": {"min": 0.0, "max": 0.9},
    "scale": {"min": 0.0, "max": 0.95},
    "translate": {"min": 0.0, "max": 0.9},
    "fliplr": {"min": 0.0, "max": 1.0},
    "box": {"min": 2.0, "max": 15.0},
    "cls": {"min": 0.2, "max": 4.0},
}
DEFAULTS: dict[str, Any] = {
    "lr0": 0.01, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.0005, "warmup_epochs": 3.0, "batch": 16, "imgsz": 96,
    "mosaic": 1.0, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "scale": 0.5, "translate": 0.1, "fliplr": 0.5,
    "box": 7.5, "cls": 0.5,
}  # fmt: skip
EPOCHS = 12


@dataclass(frozen=True, kw_only=True)
class RecordedSet:
    """A set of the table."""

    data: str
    optimizer: str
    stream: int
    """Of random numbers, that configurations are drawn from."""


SETS = {
    "bccd": RecordedSet(data="bccd", optimizer="AdamW", stream=13),
    "parking": RecordedSet(data="parking", optimizer="AdamW", stream=13),
    "bccd-sgd": RecordedSet(data="bccd", optimizer="SGD", stream=14),
    "parking-sgd": RecordedSet(data="parking", optimizer="SGD", stream=14),
}
DATA = ("bccd", "parking")
HEAD = ["set", "number", "seed", *SPACE, "cpu_s", *(f"epoch {epoch}" for epoch in range(1, EPOCHS + 1))]
FIXED: dict[str, Any] = {
    "optimizer": "AdamW", "close_mosaic": 2, "patience": 0, "amp": False, "plots": False, "workers": 0, "cache": "ram",
    "save": False, "verbose": False, "device": "cpu", "exist_ok": True, "deterministic": True, "val": True,
}  # fmt: skip


def configuration(number: int, stream: int = 13) -> dict[str, Any]:
    """Return a configuration by its number: the defaults, then seeded random points."""
    if number == 0:
        return dict(DEFAULTS)
    rng = np.random.default_rng([stream, number])
    found: dict[str, Any] = {}
    for name, axis in SPACE.items():
        if "values" in axis:
            found[name] = axis["values"][rng.integers(len(axis["values"]))]
        elif "distribution" in axis:
            found[name] = float(f"{np.exp(rng.uniform(np.log(axis['min']), np.log(axis['max']))):.4g}")
        else:
            found[name] = round(float(rng.uniform(axis["min"], axis["max"])), 4)
    return found


def data_sets(root: Path, photos: Path) -> dict[str, Path]:
    """Return the data files of both sets, copied to where label caches may be written."""
    from yolosweep.data.samples.parking_dataset import draw_parking

    if not (root / "parking").exists():
        draw_parking(root / "parking", seed=0)
    if not (root / "bccd").exists():
        shutil.copytree(photos, root / "bccd")
        for folder in (root / "bccd", *(root / "bccd").rglob("*")):
            folder.chmod(0o755 if folder.is_dir() else 0o644)
    found = {}
    for name in DATA:
        settings = {**yaml.safe_load((root / name / "data.yaml").read_text()), "path": str(root / name)}
        for split, count in (("train", 80), ("val", 30)):
            images = sorted((root / name / settings[split]).iterdir())
            chosen = images[:: max(1, len(images) // count)][:count]
            (root / name / f"{split}.txt").write_text("".join(f"{image}\n" for image in chosen))
            settings[split] = f"{split}.txt"
        found[name] = root / name / "recorded.yaml"
        found[name].write_text(yaml.safe_dump(settings))
    return found


def train(data: Path, model: str, root: Path, epochs: int, **settings: Any) -> tuple[list[float], Any]:
    """Train once; return the score of each epoch and the trainer."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    scores: list[float] = []
    overrides = {
        **FIXED,
        "data": str(data),
        "model": model,
        "epochs": epochs,
        "project": str(root / "runs"),
        **settings,
    }
    trainer = DetectionTrainer(overrides={**overrides, "name": "training", "nbs": settings["batch"]})
    trainer.add_callback(
        "on_fit_epoch_end", lambda one: scores.append(float(one.metrics.get("metrics/mAP50-95(B)", 0.0)))
    )
    with contextlib.suppress(RuntimeError):  # a loss that is not finite ends the training; its curve ends there
        trainer.train()
    return scores[:epochs], trainer


def weights_for(root: Path, data: dict[str, Path], name: str) -> Path:
    """Return the weights that trainings of a set begin with; the other data trained them."""
    import torch

    file = root / f"for-{name}.pt"
    if not file.exists():
        other = next(path for key, path in data.items() if key != SETS[name].data)
        _, trainer = train(
            other, "yolo11n.yaml", root, 15, batch=8, imgsz=96, lr0=0.002, warmup_epochs=1.0, mosaic=0.5, seed=0,
            optimizer=SETS[name].optimizer,
        )  # fmt: skip
        torch.save({"model": trainer.ema.ema.half(), "train_args": {}}, file)
    return file


def planned(count: int) -> Iterator[tuple[str, int, int]]:
    """Yield the trainings in their order: one set after the other, every fourth configuration with a second seed."""
    for name, number in itertools.product(SETS, range(count)):
        yield from ((name, number, seed) for seed in range(2 if number % 4 == 0 else 1))


def main() -> None:
    """Record what the table does not hold yet."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--file", type=Path, required=True, help="the table")
    asked.add_argument("--data", type=Path, required=True, help="folder of BCCD with its data.yaml")
    asked.add_argument("--root", type=Path, default=Path("curves-work"), help="scratch folder")
    asked.add_argument("--count", type=int, default=128, help="configurations of each set")
    asked.add_argument("--limit", type=int, help="trainings to add at most")
    given = asked.parse_args()
    root = given.root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    if not given.file.exists():
        given.file.write_text(",".join(HEAD) + "\n")
    with given.file.open(newline="") as table:
        known = {(row["set"], int(row["number"]), int(row["seed"])) for row in csv.DictReader(table)}

    from yolosweep.backends.ultralytics.training_environment import enter

    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    enter()
    import torch

    torch.set_num_threads(1)
    data = data_sets(root, given.data)
    for name, number, seed in itertools.islice((one for one in planned(given.count) if one not in known), given.limit):
        asked, weights, before = SETS[name], weights_for(root, data, name), time.process_time()
        config = configuration(number, asked.stream)
        scores, _ = train(data[asked.data], str(weights), root, EPOCHS, seed=seed, optimizer=asked.optimizer, **config)
        row = [name, number, seed, *config.values(), round(time.process_time() - before, 1)]
        with given.file.open("a", newline="") as table:
            csv.writer(table, lineterminator="\n").writerow([*row, *(f"{score:.4f}" for score in scores)])


if __name__ == "__main__":
    main()
