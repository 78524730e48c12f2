"""Ultralytics' own checks, called on the corners of the search space and on the weights before anything starts.

They run in a short-lived process of their own, so that the driver stays free of torch.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from yolosweep.backends.ultralytics.model_files import other_task
from yolosweep.errors import Fault, TrainingError
from yolosweep.experiment.schema import Experiment

__all__ = ["check_arguments"]


def check_arguments(exp: Experiment) -> list[Fault]:
    """Return the values Ultralytics or Albumentations refuse, and weights that may not be loaded: a fault for each.

    Raises:
        TrainingError: the checking process itself could not run (a broken installation); says what it printed.
    """
    if exp.is_toy:
        return []
    values: list[tuple[str, str, Any]] = [(f"train.{k}", k, v) for k, v in exp.train.items()]
    for name, parameter in exp.search.parameters.items():
        values += [(f"search.parameters.{name}", name, corner) for corner in parameter.corners()]
    weights = Path(exp.model).expanduser()
    question = {
        "weights": str(weights) if weights.suffix == ".pt" and weights.is_file() else None,
        "task": exp.task,
        "values": [item for item in values if item[1] not in ("augmentations", "balance")],
        "pipelines": [(f"augmentations.{name}", steps) for name, steps in exp.augmentations.items()],
    }
    done = subprocess.run(
        [sys.executable, "-m", "yolosweep.backends.ultralytics.argument_check"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise TrainingError(f"Ultralytics cannot be imported ({lines[-1]}); reinstall with: pip install yolosweep")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return [Fault(key=key, message=message) for key, message in answer]


def _check(question: dict[str, Any]) -> list[tuple[str, str]]:
    from yolosweep.backends.ultralytics.environment import enter

    enter()
    from ultralytics.cfg import get_cfg

    from yolosweep.backends.ultralytics.augmentation_pipelines import build_pipeline

    faults = [("model", fault)] if (fault := _refused(question["weights"], question["task"])) else []
    for key, name, value in question["values"]:
        try:
            get_cfg(overrides={name: value})
        except (TypeError, ValueError, SyntaxError, AssertionError) as error:
            faults.append((key, " ".join(str(error).split())))
    for key, steps in question["pipelines"]:
        try:
            build_pipeline(steps)
        except TrainingError as error:
            faults.append((key, f"{error}; see the Albumentations documentation"))
    return faults


def _refused(weights: str | None, task: str) -> str | None:
    """Return why weights cannot be used for a task; they are loaded without running any code they bring along."""
    if weights is None:
        return None
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    try:
        checkpoint, _ = torch_safe_load(weights, safe_only=True)
    except Exception as error:  # a damaged file fails in every way there is
        with contextlib.suppress(Exception):
            if strange := sorted(torch.serialization.get_unsafe_globals_in_checkpoint(weights)):
                return (
                    f"{weights} is refused: beside tensors it names {', '.join(strange[:3])}, which Ultralytics' "
                    "checkpoints do not; loading that could run somebody's code; take weights from Ultralytics or "
                    "your own trainings"
                )
        return f"{weights} is not whole, or no checkpoint of Ultralytics ({type(error).__name__}); copy it again"
    trained = checkpoint.get("train_args") if isinstance(checkpoint, dict) else None
    made_for = trained.get("task") if isinstance(trained, dict) else None
    return other_task(weights, made_for, task) if made_for else None


def main() -> None:
    """Read the question from standard input, write the answer as the last line of standard output."""
    answer = _check(json.loads(sys.stdin.read()))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
