"""The model a user names: a file, a name Ultralytics ships, or official weights to download once."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.errors import DataError, Fault
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["locate_model", "misnamed", "model_faults", "other_task"]

_SCALED = re.compile(r"^(yolo(?:v?\d+))[nsmlxtce](.*)$")
"""``yolo26n-seg.yaml`` is ``yolo26-seg.yaml`` at scale n: the letter is not part of a file's name."""

_OFFICIAL = re.compile(r"yolo(?:v?\d+)[a-z]?u?(?:-(seg|cls|pose|obb|sem|depth))?\.(?:pt|ya?ml)")
_TASK_OF: dict[str | None, str] = {
    **{task.suffix: name for name, task in TASKS.items()}, "sem": "semantic", "depth": "depth",
}  # fmt: skip
"""End of an official model's name → the task it is made for, also for tasks that cannot be trained here."""


def model_faults(model: str, task: str) -> list[Fault]:
    """Return what is wrong with the model an experiment names: missing, or official and for another task."""
    if fault := misnamed(model, task):
        return [Fault(key="model", message=fault)]
    try:
        locate_model(model, fetch=False)
    except DataError as error:
        return [Fault(key="model", message=str(error).removeprefix("model: "))]
    return []


def misnamed(model: str, task: str) -> str | None:
    """Return why an official model cannot be trained for a task, by its name; None for any other model."""
    official = _OFFICIAL.fullmatch(Path(model).name)
    return other_task(model, _TASK_OF[official[1]], task) if official else None


def other_task(model: str, made_for: str, task: str) -> str | None:
    """Return why a model made for another task cannot be trained for this one; None if the tasks are the same."""
    if made_for == task:
        return None
    suffix = TASKS[task].suffix
    fix = f"set task: {made_for}, or a model" if made_for in TASKS else "choose a model"
    return f"{model} is made for {made_for}, not for {task}; {fix} such as yolo26n{f'-{suffix}' if suffix else ''}.pt"


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
    """Download official weights in a separate process, so that the driver stays free of torch.

    Raises:
        DataError: the name is not official, or there is no network.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys; from yolosweep.backends.ultralytics.environment import enter; enter(offline=False); "
        "from ultralytics.utils.downloads import attempt_download_asset; attempt_download_asset(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False)
    if not target.is_file():
        raise DataError(
            f"model: there is no file {target.name} on this machine, and it could not be downloaded; "
            "copy the weights here and set their path, or train from scratch with a .yaml"
        )
