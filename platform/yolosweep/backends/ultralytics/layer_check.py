"""The layers of a model: whether one of the user's own can be built, what ``freeze`` names, which sizes they take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.ultralytics.model_lookup import model_yaml

__all__ = ["freeze_fault", "layer_faults"]

_LEVELS = 3
"""Pyramid levels up to a stride of 32; models with more may have one of 64."""


def layer_faults(model: str, task: str, values: Sequence[tuple[str, str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield key and reason of each value that does not fit the model, which has been found safe to load.

    Args:
        model: a file, or the name of a YAML that Ultralytics ships.
        task: what it is trained for.
        values: key, argument and value of everything that is set or searched.
    """
    frozen = [(key, value) for key, name, value in values if name == "freeze" and value is not None]
    sizes = [(key, value) for key, name, value in values if name == "imgsz" and isinstance(value, int) and value % 64]
    is_own = Path(model).is_file() and model_yaml(Path(model)) is not None
    if not is_own and not frozen and not (sizes and _may_stride_further(model)):
        return
    if not (Path(model).is_file() or model_yaml(model)):
        return  # weights that are downloaded later
    try:
        built = _built(model, task)
    except Exception as error:  # a model of the user's own can raise anything
        yield "model", f"{model} cannot be built: {last_line(error)}"
        return
    names = [name for name, _ in built.named_parameters() if ".dfl" not in name]
    for key, value in frozen:
        if fault := freeze_fault(value, names):
            yield key, fault
    stride = int(max(getattr(built, "stride", [32])))
    for key, value in sizes:
        if stride > 32 and value % stride:
            rounded = math.ceil(value / stride) * stride
            yield key, f"{value} is no multiple of {stride}, the stride of {Path(model).name}; write {rounded}"


def freeze_fault(value: Any, names: Sequence[str]) -> str | None:
    """Return why ``freeze`` would do nothing, or leave nothing to train (engine/trainer.py _setup_train).

    Args:
        value: a number of layers, or a list of their numbers and names.
        names: the parameters of the model.
    """
    last = max(int(name.split(".")[1]) for name in names)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not (is_number and value >= 0) and not isinstance(value, (list, tuple)):
        return f"{value!r} must be how many of the {last + 1} layers are frozen, or a list such as [0, 1, {last}.cv2]"
    asked = list(range(value)) if is_number else list(value)
    unknown = [] if is_number else [part for part in asked if not any(f"model.{part}." in name for name in names)]
    if unknown:
        named = ", ".join(map(str, unknown))
        return f"{named} names no weights of the model; its layers are 0 to {last}, their parts e.g. {names[-1][6:]}"
    if asked and all(any(f"model.{part}." in name for part in asked) for name in names):
        return f"{value} freezes all {last + 1} layers, so nothing would be trained; freeze at most {last}"
    return None


def _may_stride_further(model: str) -> bool:
    from ultralytics.utils import YAML

    yaml = model_yaml(Path(model)) if Path(model).is_file() else model_yaml(model)
    if yaml is None:
        return Path(model).is_file()
    inputs = YAML.load(yaml)["head"][-1][0]
    return isinstance(inputs, list) and len(inputs) > _LEVELS


def _built(model: str, task: str) -> Any:
    """Return the model; of weights the one in the file."""
    if Path(model).suffix == ".pt":
        from ultralytics.nn.tasks import torch_safe_load

        checkpoint, _ = torch_safe_load(model, safe_only=True)
        return checkpoint.get("ema") or checkpoint["model"]
    from ultralytics import YOLO

    return YOLO(model, task=task).model
