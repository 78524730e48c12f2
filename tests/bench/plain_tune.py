"""A user's own Ray Tune script for the toy training: a checkpoint after every epoch, retries, and resume.

``python plain_tune.py ASKED.json`` starts the sweep, or resumes it where its folder exists; at the end it writes what
Tune has of every trial.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ray import init, tune

from yolosweep.backends.toy.crops import read_crops
from yolosweep.backends.toy.model import ACCURACY, Descent


def train(config: dict[str, Any]) -> None:
    """Train from the newest checkpoint, if there is one."""
    data, val = (read_crops(config["data"], split) for split in ("train", "val"))
    descent = Descent(data, batch=16, lr0=config["lr0"], weight_decay=0.0, seed=0)
    done = 0
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            state = json.loads(Path(folder, "state.json").read_text())
        done, descent.weights = state["epoch"], state["weights"]
    for epoch in range(done + 1, config["epochs"] + 1):
        for _ in descent.epoch(epoch):
            pass
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps({"epoch": epoch, "weights": descent.weights}))
            metrics = {"epoch": epoch, "accuracy": descent.model().measured(val)[ACCURACY]}
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def main() -> None:
    """Start or resume the sweep."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    storage = Path(asked["storage"])
    init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    trainable = tune.with_resources(train, {"cpu": 1})
    if tune.Tuner.can_restore(str(storage / "sweep")):
        tuner = tune.Tuner.restore(str(storage / "sweep"), trainable, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={
                "lr0": tune.grid_search(asked["lr0"]), "data": asked["data"], "epochs": asked["epochs"]
            },
            tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=False),
            run_config=tune.RunConfig(
                name="sweep", storage_path=str(storage), failure_config=tune.FailureConfig(max_failures=3), verbose=0
            ),
        )  # fmt: skip
    found = {}
    for result in tuner.fit():
        rows = result.metrics_dataframe
        epochs = [] if rows is None or "epoch" not in rows else sorted({int(epoch) for epoch in rows["epoch"]})
        found[repr(result.config["lr0"])] = {"epochs": epochs, "accuracy": (result.metrics or {}).get("accuracy")}
    Path(asked["done"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
