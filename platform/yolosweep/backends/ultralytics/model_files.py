"""Finding the model a user named: a file, a name Ultralytics knows, or official weights to fetch once."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from yolosweep.errors import DataError, Fault
from yolosweep.experiment.schema import TOY_MODEL, Experiment
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["locate_model", "misnamed", "model_faults", "other_task"]

_SCALED = re.compile(r"^(yolo(?:v?\d+))[nsmlxtce](.*)$")
"""``yolo26n-seg.yaml`` is ``yolo26-seg.yaml`` at scale n: the letter is not part of a file's name."""

_OFFICIAL = re.compile(r"yolo(?:v?\d+)[a-z]?u?(?:-(seg|cls|pose|obb|sem|depth))?\.(?:pt|ya?ml)")
_TASK = {
    None: "detect", "seg": "segment", "cls": "classify", "pose": "pose", "obb": "obb", "sem": "semantic",
    "depth": "depth",
}  # fmt: skip
"""What the end of an official model's name stands for."""
_TRAINED = ("detect", "segment", "classify", "pose", "obb")


def model_faults(exp: Experiment) -> list[Fault]:
    """Return what is wrong with the model an experiment names: not there, or official and for another task."""
    if exp.is_toy:
        return []
    if fault := misnamed(exp.model, exp.task):
        return [Fault(key="model", message=fault)]
    try:
        locate_model(exp.model, fetch=False)
    except DataError as error:
        return [Fault(key="model", message=str(error).removeprefix("model: "))]
    return []


def misnamed(model: str, task: str) -> str | None:
    """Return why an official model cannot be trained for a task, by its name; None for any other model."""
    official = _OFFICIAL.fullmatch(Path(model).name)
    return other_task(model, _TASK[official[1]], task) if official else None


def other_task(model: str, made_for: str, task: str) -> str | None:
    """Return why a model cannot be trained for a task, where it is made for another: every trial would fail."""
    if made_for == task:
        return None
    end = next((end for end, known in _TASK.items() if known == task), None)
    way_out = f"set task: {made_for}, or a model" if made_for in _TRAINED else "choose a model"
    return f"{model} is made for {made_for}, not for {task}; {way_out} such as yolo26n{f'-{end}' if end else ''}.pt"


def locate_model(model: str, *, fetch: bool = True) -> Path | str:
    """Return the file of a model, or its bare name where Ultralytics ships the YAML itself.

    Official weights that are not on this machine are downloaded once into yolosweep's cache folder.

    Args:
        model: what the experiment names.
        fetch: False downloads nothing: the returned file may not exist yet.

    Raises:
        DataError: there is no such file, and nothing could be fetched.
    """
    if model == TOY_MODEL:
        return model
    path = Path(model).expanduser()
    if path.is_file():
        return path.absolute()
    if path.suffix in (".yaml", ".yml") and _shipped(path.name):
        return path.name
    if path.suffix != ".pt":
        raise DataError(
            f"model: there is no {model}, and Ultralytics ships no such YAML; write e.g. yolo26n.pt or yolo26n.yaml"
        )
    cached = cache_folder() / "weights" / path.name
    if fetch and not cached.is_file():
        _download(cached)
    return cached


def _shipped(name: str) -> bool:
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        return False
    models = Path(spec.origin).parent / "cfg" / "models"
    plain = _SCALED.sub(r"\1\2", name)
    return any(True for known in (name, plain) for _ in models.rglob(known))


def _download(target: Path) -> None:
    """Fetch official weights in a process of its own: the driver stays free of torch.

    Raises:
        DataError: the name is not an official one, or there is no network.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys; from yolosweep.backends.ultralytics.environment import enter; enter(offline=False); "
        "from ultralytics.utils.downloads import attempt_download_asset; attempt_download_asset(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False)
    if not target.is_file():
        raise DataError(
            f"model: there is no file {target.name} here and it could not be downloaded; "
            "copy the weights here and give their path, or train from scratch with a .yaml"
        )
