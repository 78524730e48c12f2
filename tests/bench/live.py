"""A live comparison on photos: the default search, random search, and Ultralytics' ``model.tune(use_ray=True)``.

All search the same 14 parameters with trainings of 12 epochs at imgsz 96, one at a time on one CPU thread, warm from
weights that another data set trained, for the same number of epochs (``use_ray=True`` cannot stop after epochs: it has
as many trials as whole trainings fit in). The settings that each search would hand over are then trained again with two
new seeds: the mean of their best scores is the true score of that winner. Every line of the table is one sweep; a later
run continues after the last one:

    OMP_NUM_THREADS=1 python -m tests.bench.live --file live.csv --data ../shared/data/bccd
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console
from rich.table import Table
from tests.bench.record_curves import EPOCHS, FIXED, SPACE, data_sets, train, weights_for
from tests.bench.rig import Rig

from yolosweep.backends.ultralytics.training_environment import enter
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History

METHODS: dict[str, dict[str, Any] | None] = {
    "default": {},
    "random": {"searcher": "random", "pruner": "none"},
    "use_ray=True": None,
}
"""Options of the search; None: Ultralytics' own."""
METRIC = "metrics/mAP50-95(B)"
SEARCHED = {name: axis for name, axis in SPACE.items() if name not in ("batch", "imgsz")}
SETTLED = {**FIXED, "epochs": EPOCHS, "imgsz": 96, "batch": 16, "nbs": 16}
NEW_SEEDS = (101, 102)
HEAD = ["method", "seed", "trials", "epochs", "seconds", "quoted", "true", "settings"]


class Found(NamedTuple):
    """What a search has found."""

    trials: int
    epochs: int
    quoted: float
    settings: dict[str, Any]


def ours(bench: Rig, asked: dict[str, Any], method: str, seed: int) -> Found:
    """Run a sweep."""
    home = bench.home(f"{method}-{seed}")
    dropped = ("device", "exist_ok", "save", "verbose", "val", "patience", "project")
    experiment = {
        "name": "live", "seed": seed, "model": asked["model"], "data": asked["data"], "storage": str(home / "runs"),
        "train": {key: value for key, value in SETTLED.items() if key not in dropped},
        "search": {"epoch_budget": asked["epochs"], "parameters": SEARCHED, **(METHODS[method] or {})},
        "resources": {"gpus_per_trial": 0, "cpus_per_trial": 1, "max_concurrent": 1},
    }  # fmt: skip
    file = home / "experiment.yaml"
    file.write_text(yaml.safe_dump(experiment))
    bench.run([sys.executable, "-m", "yolosweep", "run", str(file)], home, OMP_NUM_THREADS="1")
    (ledger,) = (home / "runs").glob("*/ledger.jsonl")
    history = History.of(RunFolder(ledger.parent))
    assert history.winner is not None
    settings = history.trials[history.winner.trial].request.settings
    epochs = sum(len(trial.rows) for trial in history.trials.values())
    used = {name: settings[name] for name in SEARCHED}
    return Found(len(history.trials), epochs, float(history.winner.score), used)


def theirs(bench: Rig, asked: dict[str, Any], seed: int) -> Found:
    """Run ``use_ray=True`` in a process of its own."""
    home = bench.home(f"use-ray-{seed}")
    out, file = home / "best.json", home / "asked.json"
    told = {
        "threads": 1, "model": asked["model"], "trials": round(asked["epochs"] / EPOCHS), "search_alg": "random",
        "space": SEARCHED, "out": str(out), "metric": METRIC,
        "train": {**SETTLED, "data": asked["data"], "project": str(home / "runs"), "name": "trial"},
    }  # fmt: skip
    file.write_text(json.dumps(told))
    program = Path(__file__).with_name("use_ray.py")
    bench.run([sys.executable, str(program), str(file)], home, OMP_NUM_THREADS="1")
    best = json.loads(out.read_text())
    used = {name: best["config"][name] for name in SEARCHED}
    return Found(told["trials"], best["epochs"], best["score"], used)


def table(file: Path) -> Table:
    """Return the means of what the file holds."""
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = Table(title=f"{METRIC} of the winner, trained again with {len(NEW_SEEDS)} new seeds", title_justify="left")
    for column in ("", "sweeps", "true score", "each", "quoted", "trials", "epochs", "seconds"):
        found.add_column(column, justify="left" if column == "" else "right")
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        means = {name: statistics.fmean(float(row[name]) for row in mine) for name in HEAD[2:7]}
        each = " ".join(f"{float(row['true']):.3f}" for row in mine)
        shown = [f"{means[name]:.0f}" for name in ("trials", "epochs", "seconds")]
        found.add_row(method, str(len(mine)), f"{means['true']:.4f}", each, f"{means['quoted']:.4f}", *shown)
    return found


def main() -> None:
    """Run the sweeps that the file does not hold yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, required=True, help="the table")
    parser.add_argument("--data", type=Path, required=True, help="folder of BCCD with its data.yaml")
    parser.add_argument("--root", type=Path, default=Path("live-work"), help="scratch folder")
    parser.add_argument("--trainings", type=int, default=12, help="budget of a sweep, in whole trainings")
    parser.add_argument("--seeds", type=int, default=3, help="sweeps of each method")
    given = parser.parse_args()
    root = given.root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    if not given.file.exists():
        given.file.write_text(",".join(HEAD) + "\n")
    with given.file.open(newline="") as stream:
        known = {(row["method"], int(row["seed"])) for row in csv.DictReader(stream)}
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    enter()
    sets = data_sets(root, given.data)
    weights, data = weights_for(root, sets, "bccd"), sets["bccd"]
    asked = {"model": str(weights), "data": str(data), "epochs": given.trainings * EPOCHS}
    bench = Rig(data=data, root=root, epochs=EPOCHS, imgsz=96, batch=16, threads=1, repeats=1)

    def true_score(settings: dict[str, Any]) -> float:
        fixed = {"batch": SETTLED["batch"], "imgsz": SETTLED["imgsz"]}
        return statistics.fmean(
            max(train(data, str(weights), root, EPOCHS, seed=seed, **fixed, **settings)[0]) for seed in NEW_SEEDS
        )

    for seed, method in itertools.product(range(given.seeds), METHODS):
        if (method, seed) in known:
            continue
        began = time.perf_counter()
        found = theirs(bench, asked, seed) if METHODS[method] is None else ours(bench, asked, method, seed)
        seconds, true = round(time.perf_counter() - began), true_score(found.settings)
        row = [method, seed, found.trials, found.epochs, seconds, found.quoted, round(true, 5)]
        with given.file.open("a", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerow([*row, json.dumps(found.settings)])
    Console(width=120).print(table(given.file))


if __name__ == "__main__":
    main()
