"""Label errors that a trained detector finds: 5 % of each kind are planted, precision at 50 and recall are measured.

``python -m tests.bench.label_errors DATA.yaml FOLDER``: every split is copied to FOLDER and gets missing boxes, wrong
classes and loose boxes. A detector is trained from scratch on the train split, errors included, as in a sweep; then
``yolosweep check --weights`` lists what it suspects, and the list is compared with what was planted. FOLDER keeps the
weights, so a second call only checks again. Suspects that were not planted may be errors of the original labels.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ruamel.yaml import YAML

from yolosweep.autolabel.agreement import Box, iou
from yolosweep.autolabel.label_errors import LabelErrorKind

SHARE = 0.05
TOP = 50


class Planted(NamedTuple):
    """One planted error."""

    image: str
    kind: LabelErrorKind
    truth: Box


class Suspect(NamedTuple):
    """One line of the list."""

    image: str
    kind: LabelErrorKind
    score: float
    drawn: Box


def plant(source: Path, folder: Path, seed: int) -> list[Planted]:
    """Copy a YOLO data set and plant errors into the labels of every split; return them."""
    rng = np.random.default_rng(seed)
    content = YAML(typ="safe").load(source)
    planted = []
    for split in ("train", "val", "test"):
        for image in sorted((source.parent / content[split]).iterdir()):
            label = source.parent / content[split].replace("images", "labels") / f"{image.stem}.txt"
            for file, kind in ((image, "images"), (label, "labels")):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / kind / split / file.name)
            rows = []
            for line in label.read_text().splitlines():
                category, *box = line.split()
                x, y, width, height = map(float, box)
                row, error = spoiled(int(category), (x, y, width, height), len(content["names"]), rng)
                rows += [f"{row[0]} {' '.join(f'{v:.6f}' for v in row[1])}\n"] if row else []
                planted += [Planted(image.name, error, (x, y, width, height))] if error else []
            (folder / "labels" / split / label.name).write_text("".join(rows))
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(names_of(content["names"])))
    splits = "".join(f"{split}: images/{split}\n" for split in ("train", "val", "test"))
    (folder / "data.yaml").write_text(f"{splits}names:\n{names}")
    return planted


def names_of(names: list[str] | dict[int, str]) -> list[str]:
    """Return class names in order."""
    return list(names.values()) if isinstance(names, dict) else names


def spoiled(
    category: int, box: Box, classes: int, rng: np.random.Generator
) -> tuple[tuple[int, Box] | None, LabelErrorKind | None]:
    """Return a label, perhaps spoiled (None: left out), and how."""
    draw = rng.uniform()
    if draw < SHARE:
        return None, LabelErrorKind.MISSING
    if draw < 2 * SHARE:
        return ((category + int(rng.integers(1, classes))) % classes, box), LabelErrorKind.WRONG_CLASS
    if draw < 3 * SHARE:
        return (category, loosened(box, rng)), LabelErrorKind.LOOSE
    return (category, box), None


def loosened(box: Box, rng: np.random.Generator) -> Box:
    """Return a box that overlaps with the right one by 0.3 to 0.6: grown at some sides, cut at others."""
    while True:
        left, top, right, bottom = (box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2)
        moves = rng.uniform(-0.5, 0.5, 4)
        left, right = left + moves[0] * box[2], right + moves[1] * box[2]
        top, bottom = top + moves[2] * box[3], bottom + moves[3] * box[3]
        left, top, right, bottom = (min(max(v, 0.0), 1.0) for v in (left, top, right, bottom))
        made = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        if 0.3 <= iou(made, box) <= 0.6:
            return made


def train(folder: Path, epochs: int, imgsz: int) -> Path:
    """Train on the spoiled labels and return the weights."""
    weights = folder / "run" / "weights" / "best.pt"
    if not weights.is_file():
        settings = {
            "model": "yolo11n.yaml", "data": folder / "data.yaml", "project": folder, "name": "run", "exist_ok": True,
            "epochs": epochs, "imgsz": imgsz, "batch": 8, "nbs": 8, "optimizer": "AdamW", "lr0": 0.002, "seed": 0,
            "device": "cpu", "workers": 0, "plots": False, "amp": False, "warmup_epochs": 1, "cache": "ram",
            "flipud": 0.5, "patience": 0,
        }  # fmt: skip
        words = [f"{key}={value}" for key, value in settings.items()]
        start = "from ultralytics.cfg import entrypoint; entrypoint()"
        environment = {**os.environ, "YOLO_CONFIG_DIR": str(folder), "YOLO_OFFLINE": "true"}
        subprocess.run(
            [sys.executable, "-c", start, "detect", "train", *words], check=True, env=environment, cwd=folder
        )
    return weights


def suspects(folder: Path, weights: Path, imgsz: int) -> list[Suspect]:
    """Run the check and return its list."""
    command = ["check", str(folder / "data.yaml"), "--weights", str(weights), "--report", str(folder / "check.html")]
    subprocess.run([sys.executable, "-m", "yolosweep", *command, "--allow", "label-none"], check=False)
    with (folder / "check-labels" / "suspects.csv").open(newline="") as stream:
        return [
            Suspect(
                Path(line["image"]).name,
                LabelErrorKind(line["error"]),
                float(line["score"]),
                tuple(float(line[key]) for key in ("x", "y", "width", "height")),  # type: ignore[arg-type]
            )
            for line in csv.DictReader(stream)
        ]


def found(suspect: Suspect, planted: Iterable[Planted]) -> Planted | None:
    """Return the planted error at the place of a suspect, of any kind."""
    at = [(iou(suspect.drawn, one.truth), one) for one in planted if one.image == suspect.image]
    best = max(at, key=lambda pair: pair[0], default=(0.0, None))
    return best[1] if best[0] >= 0.5 else None


def report(planted: list[Planted], listed: list[Suspect], splits: Mapping[str, str]) -> None:
    """Print precision at 50 and recall per kind, over all images and over those that were not trained on."""
    for title, chosen in (("all splits", {"train", "val", "test"}), ("val and test", {"val", "test"})):
        here = [one for one in planted if splits[one.image] in chosen]
        ranked = [one for one in listed if splits[one.image] in chosen]
        hits = [found(one, here) for one in ranked]
        print(f"{title}: {len(here)} planted, {len(ranked)} listed")
        first = hits[:TOP]
        print(f"  precision at {TOP}: {sum(hit is not None for hit in first) / max(1, len(first)):.2f}")
        for kind in LabelErrorKind:
            pairs = [(one, hit) for one, hit in zip(ranked, hits, strict=True) if one.kind is kind]
            right = sum(hit is not None for _, hit in pairs[:TOP])
            named = sum(hit is not None and hit.kind is kind for _, hit in pairs[:TOP])
            there = [one for one in here if one.kind is kind]
            seen = {hit for hit in hits if hit is not None}
            top = {hit for hit in first if hit is not None}
            print(
                f"  {kind.value:12} planted {len(there):3}, recall {sum(one in seen for one in there) / len(there):.2f}"
                f" (in the first {TOP}: {sum(one in top for one in there)}); of the first {len(pairs[:TOP])}"
                f" of this kind {right} are planted errors, {named} of this kind"
            )


def main() -> None:
    """Run the bench."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--epochs", type=int, default=60)
    arguments.add_argument("--imgsz", type=int, default=160)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    folder = asked.folder.absolute()
    planted = plant(asked.data.absolute(), folder, asked.seed)
    began = time.perf_counter()
    weights = train(folder, asked.epochs, asked.imgsz)
    print(f"trained in {time.perf_counter() - began:.0f} s")
    splits = {file.name: file.parent.name for file in folder.glob("images/*/*")}
    report(planted, suspects(folder, weights, asked.imgsz), splits)


if __name__ == "__main__":
    main()
