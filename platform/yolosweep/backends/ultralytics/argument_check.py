"""Ultralytics' own checks of arguments and weights, before anything starts.

They run in a short-lived process, so that the driver stays free of torch.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from yolosweep.backends.arguments import ArgumentSpace
from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.ultralytics.arguments import OURS, WEIGHTS
from yolosweep.backends.ultralytics.layer_check import layer_faults
from yolosweep.backends.ultralytics.model_lookup import ends_otherwise, model_yaml, other_task
from yolosweep.errors import Fault, TrainingError

__all__ = ["check_arguments"]


_NOTE = "note"
"""Stands for a key where nothing is wrong."""


def check_arguments(space: ArgumentSpace, classes: int | None = None) -> tuple[list[Fault], list[str]]:
    """Return a fault for each value that Ultralytics or Albumentations refuses, and for unusable weights; and notes.

    Args:
        space: what is set and searched.
        classes: of the data, if they are known: a note says where the model was made for another number.

    Raises:
        TrainingError: the checking process could not run (a broken installation); names what it printed.
    """
    file = Path(space.model).expanduser()
    question = {
        "model": str(file) if file.is_file() else None,
        "name": space.model,
        "task": space.task,
        "classes": classes,
        "values": [
            (key, name, value)
            for key, name in space.keys.items()
            for value in (space.searched[name] if key.startswith("search.") else [space.fixed[name]])
            if name not in OURS  # Ultralytics' own check does not know these
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
    faults = [Fault(key=key, message=message) for key, message in answer if key != _NOTE]
    return faults, [message for key, message in answer if key == _NOTE]


def _check(question: dict[str, Any]) -> list[tuple[str, str]]:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.cfg import get_cfg

    from yolosweep.backends.ultralytics.augmentation_pipelines import build_pipeline

    faults = [("model", fault)] if (fault := _refused(question["model"], question["task"])) else []
    for key, name, value in question["values"]:
        try:
            get_cfg(overrides={name: value})
        except (TypeError, ValueError, SyntaxError, AssertionError) as error:
            faults.append((key, " ".join(str(error).split())))
    faults += _beside(question)
    if not faults:
        faults += layer_faults(question["model"] or question["name"], question["task"], question["values"])
        faults += [(_NOTE, note) for note in _other_classes(question["model"], question.get("classes"))]
    for key, steps in question["pipelines"]:
        try:
            build_pipeline(steps)
        except TrainingError as error:
            faults.append((key, f"{error}; see the Albumentations documentation"))
    return faults


def _beside(question: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield weights beside the model that cannot be loaded, and a teacher for another task."""
    for key, name, value in question["values"]:
        is_file = name in WEIGHTS and isinstance(value, str) and Path(value).is_file()
        if is_file and (fault := _refused_weights(value, question["task"] if name == "distill_model" else None)):
            yield key, fault


def _refused(model: str | None, task: str) -> str | None:
    """Return why a file cannot be used as the model for a task; reading it runs no code it contains."""
    if model is None:
        return None
    return _refused_layers(Path(model)) if model_yaml(Path(model)) else _refused_weights(model, task)


def _refused_layers(file: Path) -> str | None:
    """Return why Ultralytics' restricted reading of a model YAML would refuse it in every trial."""
    import torch
    from ultralytics.nn import tasks
    from ultralytics.utils import YAML

    try:
        content = YAML.load(file)
        names = [str(layer[2]) for layer in content["backbone"] + content["head"]]
        if activation := content.get("activation"):
            tasks._SafeLoad.activation(activation)
    except TypeError as error:
        return f"{file}: {' '.join(str(error).split())}"
    except Exception as error:  # a file of the user's own can raise anything
        return f"{file} describes no model: {last_line(error)}"
    known = {"nn.": torch.nn, "torchvision.ops.": import_module("torchvision.ops"), "": tasks}
    for name in names:
        prefix = next(start for start in known if name.startswith(start))
        layer = getattr(known[prefix], name.removeprefix(prefix), None)
        if not (isinstance(layer, type) and issubclass(layer, torch.nn.Module)):
            return f"{file} names the layer {name}, which Ultralytics does not have"
    return None


def _refused_weights(weights: str, task: str | None) -> str | None:
    """Return why weights cannot be loaded, or not for a task; without one, weights of any task are right."""
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
    trained_model = (checkpoint.get("ema") or checkpoint.get("model")) if isinstance(checkpoint, dict) else None
    if not isinstance(trained_model, torch.nn.Module):
        return f"{weights} holds no model of Ultralytics, only {_kind(checkpoint)}; use a checkpoint of a training"
    if task is None:
        return None
    trained = checkpoint.get("train_args")
    made_for = trained.get("task") if isinstance(trained, dict) else None
    if made_for and (fault := other_task(weights, made_for, task)):
        return fault
    layers = getattr(trained_model, "model", None)
    return ends_otherwise(weights, type(layers[-1]).__name__, task) if isinstance(layers, torch.nn.Sequential) else None


def _other_classes(model: str | None, classes: int | None) -> Iterator[str]:
    """Yield what becomes of a model file that was made for another number of classes than the data have."""
    if model is None or classes is None:
        return
    from ultralytics.nn.tasks import torch_safe_load
    from ultralytics.utils import YAML

    name = Path(model).name
    if model_yaml(Path(model)):
        if (given := YAML.load(model).get("nc")) not in (None, classes):
            yield f"{name} has nc: {given}, which the {classes} classes of the data replace"
        return
    checkpoint, _ = torch_safe_load(model, safe_only=True)
    made_for = len(getattr(checkpoint.get("ema") or checkpoint["model"], "names", ()))
    if made_for not in (0, classes):
        yield (
            f"{name} was trained on {made_for} classes, the data have {classes}: layers of the same shape are taken "
            "over, the last one starts new"
        )


def _kind(checkpoint: Any) -> str:
    """Return what a file without a model holds."""
    tensors = isinstance(checkpoint, dict) and any(hasattr(one, "shape") for one in checkpoint.values())
    return "tensors without their layers" if tensors else f"a {type(checkpoint).__name__}"


def main() -> None:
    """Read the question from standard input, write the answer as the last line of standard output."""
    answer = _check(json.loads(sys.stdin.read()))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
