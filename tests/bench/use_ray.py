"""A program of its own: ``model.tune(use_ray=True)`` as Ultralytics ships it. Argument: a JSON file with what to do.

Ray is started here, before Ultralytics would do it, for one reason: with as many CPUs as one of its trials asks for, so
that trials run one after the other, as in the other variants.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def axis_of(tune: Any, axis: dict[str, Any]) -> Any:
    """Return a parameter of a space in the words of Ray Tune."""
    if "values" in axis:
        return tune.choice(axis["values"])
    return (tune.loguniform if "distribution" in axis else tune.uniform)(axis["min"], axis["max"])


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())

    import ray
    from ray import tune
    from ultralytics import YOLO

    ray.init(address="local", num_cpus=asked["threads"], include_dashboard=False)
    settings, out = asked["train"], asked.get("out")
    grid = YOLO(asked["model"]).tune(
        use_ray=True,
        iterations=asked["trials"],
        space={name: axis_of(tune, axis) for name, axis in asked["space"].items()},
        search_alg=asked["search_alg"],
        # Without an ``out``, no trial is pruned. Ultralytics' own grace period is 10 epochs.
        **({} if out else {"grace_period": settings["epochs"]}),
        **settings,
    )
    if out:
        best = grid.get_best_result(asked["metric"], "max", "all")
        score = float(best.metrics_dataframe[asked["metric"]].max())
        epochs = sum(result.metrics["training_iteration"] for result in grid)
        Path(out).write_text(json.dumps({"config": best.config, "score": score, "epochs": epochs}))


if __name__ == "__main__":
    main()
