"""A user's own Ray Tune script for the toy training: a checkpoint after every epoch, retries, and resume.

``python plain_tune.py ASKED.json`` starts the sweep, or resumes it where its folder exists; at the end it writes what
Tune has of every trial. The exit code is 1 if a trial failed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ray import init, tune

from yolosweep.backends.toy.crops import read_crops
from yolosweep.backends.toy.model import Descent


def train(config: dict[str, Any]) -> None:
    """Train from the newest checkpoint, if there is one."""
    data, val = (read_crops(config["data"], split) for split in ("train", "val"))
    descent = Descent(data, batch=16, lr0=config["lr0"], weight_decay=0.0, seed=0)
    done = 0
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            state = json.loads(Path(folder, "state.json").read_text())
        done, descent.weights = state["epoch"], tuple(state["weights"])
    for epoch in range(done + 1, config["epochs"] + 1):
        for _ in descent.epoch(epoch):
            pass
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps({"epoch": epoch, "weights": descent.weights}))
            metrics = {"epoch": epoch, "loss": descent.model().measured(val)["val/loss"]}
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def tuner_of(asked: dict[str, Any]) -> tune.Tuner:
    """Return the tuner of the sweep, restored where it has begun."""
    storage, files = asked["storage"], None
    if asked["endpoint"]:
        from pyarrow.fs import S3FileSystem

        files = S3FileSystem(endpoint_override=asked["endpoint"], scheme="http", region="us-east-1")
    trainable = tune.with_resources(train, {"cpu": 1})
    if tune.Tuner.can_restore(f"{storage}/sweep", storage_filesystem=files):
        return tune.Tuner.restore(f"{storage}/sweep", trainable, resume_errored=True, storage_filesystem=files)
    return tune.Tuner(
        trainable,
        param_space={"lr0": tune.grid_search(asked["lr0"]), "data": asked["data"], "epochs": asked["epochs"]},
        tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=False),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=storage,
            storage_filesystem=files,
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )


def main() -> int:
    """Start or resume the sweep."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    results, found = tuner_of(asked).fit(), {}
    for result in results:
        rows = result.metrics_dataframe
        known = [] if rows is None or "epoch" not in rows else zip(rows["epoch"], rows["loss"], strict=True)
        found[repr(result.config["lr0"])] = {int(epoch): float(score) for epoch, score in known}
    Path(asked["done"]).write_text(json.dumps(found))
    return 1 if results.errors else 0


if __name__ == "__main__":
    sys.exit(main())
