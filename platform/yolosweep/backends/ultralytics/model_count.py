"""Parameters and operations of a model that was not trained yet, counted in a short-lived process.

The driver stays free of torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.records.footprint import Footprint

__all__ = ["counted"]

_HALF = 2
"""Bytes of a parameter in ``best.pt``."""


def counted(model: str, *, task: str, classes: int, imgsz: int) -> Footprint | None:
    """Return what a model has; None where it cannot be built, which the checks of the model report.

    Args:
        model: a file that was found safe to load, or the name of a YAML that Ultralytics ships.
        task: what it is trained for.
        classes: classes of the data.
        imgsz: image size.
    """
    done = subprocess.run(
        [sys.executable, "-m", "yolosweep.backends.ultralytics.model_count"],
        input=json.dumps({"model": model, "task": task, "classes": classes, "imgsz": imgsz}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None
    return Footprint.model_validate_json(done.stdout.strip().splitlines()[-1])


def _count(model: str, task: str, classes: int, imgsz: int) -> Footprint:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.utils.torch_utils import get_flops, get_num_params

    built = _built(model, task, classes).eval()
    every = get_num_params(built)
    fused = built.fuse(verbose=False)
    return Footprint(
        params_m=round(get_num_params(fused) / 1e6, 6),
        gflops=round(get_flops(fused, imgsz), 4) or None,
        size_mb=round(every * _HALF / 1e6, 3),
        imgsz=imgsz,
    )


def _built(model: str, task: str, classes: int) -> Any:
    """Return the model as a training begins with it: of weights, their layers with as many classes as the data."""
    from ultralytics.nn import tasks

    layers: Any = model
    if Path(model).suffix == ".pt":
        checkpoint, _ = tasks.torch_safe_load(model, safe_only=True)
        layers = (checkpoint.get("ema") or checkpoint["model"]).yaml
    return getattr(tasks, f"{TASKS[task].prefix}Model")(layers, nc=classes, verbose=False)


if __name__ == "__main__":
    sys.stdout.write("\n" + _count(**json.loads(sys.stdin.read())).model_dump_json() + "\n")
