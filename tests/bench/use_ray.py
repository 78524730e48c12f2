"""A program of its own: ``model.tune(use_ray=True)`` as Ultralytics ships it. Argument: a JSON file with what to do.

Ray is started here, before Ultralytics would do it, for one reason: with as many CPUs as one of its trials asks for, so
that trials run one after the other, as in the other variants.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())

    import ray
    from ray import tune
    from ultralytics import YOLO

    ray.init(address="local", num_cpus=asked["threads"], include_dashboard=False)
    settings = asked["train"]
    YOLO(asked["model"]).tune(
        use_ray=True,
        iterations=asked["trials"],
        space={"lr0": tune.uniform(0.0019, 0.0021)},
        grace_period=settings["epochs"],  # no trial is pruned
        search_alg=asked["search_alg"],
        **settings,
    )


if __name__ == "__main__":
    main()
