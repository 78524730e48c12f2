"""Why a checkpoint scores otherwise than recorded: the libraries, settings and files that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolosweep.cluster.versions import versions
from yolosweep.data import OUTSIDE, examine
from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History, TrialHistory

__all__ = ["explain_difference"]

_MOST = 3
"""Changed files that are named; the others are counted."""


def explain_difference(folder: RunFolder, history: History, trial: TrialHistory, data: str) -> str:
    """Return what may explain that a checkpoint has another score than before."""
    found = [*_libraries(history.versions), *_settings(folder, trial), *_files(history, data)]
    return "; ".join(found) or (
        "no library, setting or file of val has changed since: the hardware differs, or a file kept its old "
        "time; compare the data's fingerprint with yolosweep check"
    )


def _libraries(before: Mapping[str, str]) -> Iterator[str]:
    now = versions()
    for name, version in before.items():
        if version != now.get(name, ""):
            yield f"{name} was {version} and is {now.get(name, 'missing')}"


def _settings(folder: RunFolder, trial: TrialHistory) -> Iterator[str]:
    """Yield the settings that the training recorded otherwise in its ``args.yaml``."""
    record = trial.record
    if record is None or "args.yaml" not in record.files:
        return
    try:
        used: Any = YAML(typ="safe", pure=True).load(folder.resolve(record.files["args.yaml"]))
    except (OSError, YAMLError, YolosweepError):
        return
    asked = {**trial.request.settings, **record.used}
    for name in sorted(asked.keys() & used.keys() if isinstance(used, dict) else ()):
        if name not in ("augmentations", "optimizer", "workers") and used[name] != asked[name]:
            yield f"{name} was {used[name]} in the training and is {asked[name]} in the validation"


def _files(history: History, data: str) -> Iterator[str]:
    """Yield the images and labels of val that were written after the sweep started."""
    dataset, started = history.started.dataset, history.started.at.timestamp()
    try:
        items = examine(data, dataset.task, anywhere=OUTSIDE in dataset.allowed).layout.splits.get("val", ())
    except YolosweepError as error:
        yield f"the data cannot be read: {error}"
        return
    files = [file for item in items for file in (item.image, item.label) if file is not None]
    newer = sorted(file for file in files if Path(file).stat().st_mtime > started)
    if newer:
        others = f" and {len(newer) - _MOST} more" if len(newer) > _MOST else ""
        yield f"changed since the sweep started: {', '.join(map(str, newer[:_MOST]))}{others}"
    count = dataset.images.get("val")
    if count is not None and count != len(items):
        yield f"val had {count} images and has {len(items)}"
