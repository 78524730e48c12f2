"""The model a user names: a file, a name Ultralytics ships, or official weights to download once."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.errors import DataError, Fault
from yolosweep.storage.atomic_files import cache_folder

__all__ = [
    "ends_otherwise",
    "last_layer",
    "locate_model",
    "misnamed",
    "model_faults",
    "model_yaml",
    "other_task",
    "unscaled",
]

_SCALED = re.compile(r"^(yolo(?:v?\d+))[nsmlxtce](.*)$")
"""``yolo26n-seg.yaml`` is ``yolo26-seg.yaml`` at scale n: the letter is not part of a file's name."""

_OFFICIAL = re.compile(r"yolo(?:v?\d+)[a-z]?u?(?:-(seg|cls|pose|obb|sem|depth))?\.(?:pt|ya?ml)")
_TASK_OF: dict[str | None, str] = {
    **{task.suffix: name for name, task in TASKS.items()}, "sem": "semantic", "depth": "depth",
}  # fmt: skip
"""End of an official model's name → the task it is made for, also for tasks that cannot be trained here."""

_FAMILIES = {
    "RT-DETR": re.compile(r"^(yolov8[nsmlx]?-)?rtdetr[-.]|^RTDETRDecoder$", re.IGNORECASE),
    "YOLO-World": re.compile(r"^yolov8[nsmlx]?-world(v2)?[-.]|^WorldDetect$"),
    "YOLOE": re.compile(r"^yoloe-(v?\d+)|^YOLOE(Detect|Segment)|^LRPCHead$"),
    "SAM": re.compile(r"^(mobile_sam|FastSAM-[sx]|sam(2|2\.1)?_[tsbl]|sam3)\.pt$"),
    "YOLO-NAS": re.compile(r"^yolo_nas_[sml]\.pt$"),
}
"""Families with a trainer of their own, or with none → their files' names, and the last layer of their models."""

_LAYER_TASKS = ("classify", "semantic", "segment", "pose", "obb", "depth", "detect")
"""Tasks as they stand in the name of a last layer, in the order of ``ultralytics.nn.tasks.guess_model_task``."""

_LARGEST_YAML = 1 << 20


def model_faults(model: str, task: str) -> list[Fault]:
    """Return what is wrong with the model an experiment names: missing, or official and for another task."""
    if fault := misnamed(model, task):
        return [Fault(key="model", message=fault)]
    try:
        found = locate_model(model, fetch=False)
    except DataError as error:
        return [Fault(key="model", message=str(error).removeprefix("model: "))]
    layer = last_layer(yaml) if (yaml := model_yaml(found)) else None
    fault = layer and ends_otherwise(model, layer, task)
    return [Fault(key="model", message=fault)] if fault else []


def misnamed(model: str, task: str) -> str | None:
    """Return why an official model cannot be trained for a task, by its name; None for any other model."""
    name = Path(model).name
    if family := _family(name):
        return _untrainable(model, family, task)
    official = _OFFICIAL.fullmatch(name)
    return other_task(model, _TASK_OF[official[1]], task) if official else None


def ends_otherwise(model: str, layer: str, task: str) -> str | None:
    """Return why a model cannot be trained for a task, by the name of its last layer; None for an unknown layer."""
    if family := _family(layer):
        return _untrainable(model, family, task)
    made_for = next((made for made in _LAYER_TASKS if made in layer.lower()), None)
    return made_for and other_task(model, made_for, task)


def model_yaml(model: Path | str) -> Path | None:
    """Return the file that describes a model's layers; None for weights."""
    if Path(model).suffix not in (".yaml", ".yml"):
        return None
    return model if isinstance(model, Path) else next(_shipped(model), None)


def last_layer(yaml: Path) -> str | None:
    """Return the name of the last layer of a model YAML; None if it cannot be read."""
    if yaml.stat().st_size > _LARGEST_YAML:
        return None
    with contextlib.suppress(YAMLError, UnicodeDecodeError, LookupError, TypeError):
        return str(YAML(typ="safe", pure=True).load(yaml.read_text(encoding="utf-8"))["head"][-1][2])
    return None


def _family(name: str) -> str | None:
    return next((family for family, pattern in _FAMILIES.items() if pattern.search(name)), None)


def _untrainable(model: str, family: str, task: str) -> str:
    return f"{model} is {family}, which Ultralytics trains in another way, or not at all; choose {_example(task)}"


def other_task(model: str, made_for: str, task: str) -> str | None:
    """Return why a model made for another task cannot be trained for this one; None if the tasks are the same."""
    if made_for == task:
        return None
    fix = f"set task: {made_for}, or" if made_for in TASKS else "choose"
    return f"{model} is made for {made_for}, not for {task}; {fix} {_example(task)}"


def _example(task: str) -> str:
    suffix = TASKS[task].suffix
    return f"a model such as yolo26n{f'-{suffix}' if suffix else ''}.pt"


def locate_model(model: str, *, fetch: bool = True) -> Path | str:
    """Return the file of a model, or its bare name where Ultralytics ships the YAML.

    Official weights that are not on this machine are downloaded once into yolosweep's cache folder.

    Args:
        model: what the experiment names.
        fetch: whether to download; if False the returned file may not exist yet.

    Raises:
        DataError: there is no such file, and it could not be downloaded.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return path.absolute()
    if path.suffix in (".yaml", ".yml") and any(_shipped(path.name)):
        return path.name
    if path.suffix != ".pt":
        named = path.name if any(_shipped(f"{path.name}.yaml")) else "yolo26n"
        raise DataError(
            f"model: there is no {model}, and Ultralytics ships no such YAML; write {named}.pt to start from trained "
            f"weights, or {named}.yaml to start from scratch"
        )
    cached = cache_folder() / "weights" / path.name
    if fetch and not cached.is_file():
        _download(cached)
    return cached


def unscaled(name: str) -> str:
    """Return the name of a model YAML without the letter of its size."""
    return _SCALED.sub(r"\1\2", name)


def _shipped(name: str) -> Iterator[Path]:
    """Yield the files of a model YAML that Ultralytics ships."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is not None and spec.origin is not None:
        models = Path(spec.origin).parent / "cfg" / "models"
        for known in (name, unscaled(name)):
            yield from (file for file in models.glob("*/*.yaml") if file.name == known)


def _download(target: Path) -> None:
    """Download official weights in a separate process, so that the driver stays free of torch.

    Raises:
        DataError: the name is not official, or there is no network.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys; from yolosweep.backends.ultralytics.training_environment import enter; enter(offline=False); "
        "from ultralytics.utils.downloads import attempt_download_asset; attempt_download_asset(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False)
    if not target.is_file():
        raise DataError(
            f"model: there is no file {target.name} on this machine, and it could not be downloaded; "
            "copy the weights here and set their path, or train from scratch with a .yaml"
        )
