"""Ultralytics' own checks of arguments and weights, before anything starts.

They run in a short-lived process, so that the driver stays free of torch.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from yolosweep.backends.arguments import ArgumentSpace
from yolosweep.backends.ultralytics.model_files import other_task
from yolosweep.errors import Fault, TrainingError

__all__ = ["check_arguments"]

_OURS = ("augmentations", "balance")
"""Arguments that Ultralytics' own check does not know."""


def check_arguments(space: ArgumentSpace) -> list[Fault]:
    """Return a fault for each value that Ultralytics or Albumentations refuses, and for unusable weights.

    Raises:
        TrainingError: the checking process could not run (a broken installation); names what it printed.
    """
    weights = Path(space.model).expanduser()
    question = {
        "weights": str(weights) if weights.suffix == ".pt" and weights.is_file() else None,
        "task": space.task,
        "values": [
            (key, name, value)
            for key, name in space.keys.items()
            for value in (space.searched[name] if key.startswith("search.") else [space.fixed[name]])
            if name not in _OURS
        ],
        "pipelines": [(f"augmentations.{name}", steps) for name, steps in space.pipelines.items()],
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
    """Return why weights cannot be used for a task; loading them runs no code they contain."""
    if weights is None:
        return None
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    try:
        checkpoint, _ = torch_safe_load(weights, safe_only=True)
    except Exception as error:  # a damaged file can raise anything
        with contextlib.suppress(Exception):
            if unsafe := sorted(torch.serialization.get_unsafe_globals_in_checkpoint(weights)):
                return (
                    f"{weights} is refused: besides tensors it names {', '.join(unsafe[:3])}, which no checkpoint of "
                    "Ultralytics does, and loading it could run foreign code; use weights from Ultralytics or from "
                    "your own trainings"
                )
        return f"{weights} is damaged, or not an Ultralytics checkpoint ({type(error).__name__}); copy it again"
    trained = checkpoint.get("train_args") if isinstance(checkpoint, dict) else None
    made_for = trained.get("task") if isinstance(trained, dict) else None
    return other_task(weights, made_for, task) if made_for else None


def main() -> None:
    """Read the question from standard input, write the answer as the last line of standard output."""
    answer = _check(json.loads(sys.stdin.read()))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
