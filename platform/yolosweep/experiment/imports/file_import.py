"""A file of another tool as the text of an experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolosweep.errors import ExperimentError, Fault, UsageError
from yolosweep.experiment.commented_yaml import commented_yaml, one_line
from yolosweep.experiment.experiment_loading import read_yaml
from yolosweep.experiment.imports.experiment_draft import Draft, Remark
from yolosweep.experiment.imports.train_arguments import draft_of_arguments, is_arguments
from yolosweep.experiment.imports.tune_results import RESULTS, draft_of_results, draft_of_space, is_space, read_results
from yolosweep.experiment.imports.wandb_sweep import draft_of_sweep, is_sweep
from yolosweep.experiment.schema import SCHEMA_FILE, Experiment
from yolosweep.storage.addresses import redacted

__all__ = ["Imported", "Overriding", "imported"]

_BEST = "best_hyperparameters.yaml"
_READS = "a W&B sweep, a space or results of Ultralytics' model.tune, or an args.yaml"
_LONGEST = 300
"""Characters of a comment."""


@dataclass(frozen=True, kw_only=True)
class Overriding:
    """What the user says beside the file; None: as the file says."""

    data: str | None = None
    model: str | None = None
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """An experiment made from a file of another tool."""

    kind: str
    """What the file is, for people."""
    text: str
    """The experiment file."""
    remarks: tuple[Remark, ...]
    """What was dropped or changed; also comments of the file."""


def imported(
    path: Path, overriding: Overriding, further: Callable[[Experiment], Sequence[Fault]] = lambda exp: ()
) -> Imported:
    """Return a file or folder of another tool as an experiment without a fault.

    Args:
        path: the file, or a folder of Ultralytics' tuner.
        overriding: what to use instead of what the file says.
        further: rules that need more than an experiment; what they refuse is left out, too.

    Raises:
        UsageError: the file cannot be read, is of another kind, or names no data set.
        ExperimentError: it is no YAML, or nothing is left to search.
    """
    draft = _draft(path)
    for key in ("data", "model", "task"):
        if (value := getattr(overriding, key)) is not None:
            if draft.top.get(key, value) != value:
                draft.remark(key, f"was {draft.top[key]}")
            draft.top[key] = value
    if not isinstance(draft.top.get("data"), str):
        raise UsageError(f"{path.name} names no data set; add --data DATA")
    name = str(draft.top.get("name") or (path.parent if path.stem == "args" else path).stem)
    draft.top["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "imported"
    content = draft.finish(further, source=path.name)
    return Imported(kind=draft.kind, text=_text(content, draft, path.name), remarks=tuple(draft.remarks))


def _draft(path: Path) -> Draft:
    if path.is_dir():
        return _draft_of_folder(path)
    if path.name in RESULTS or path.suffix in (".csv", ".ndjson"):
        iterations = _existing(read_results, path)
        return draft_of_results(iterations, iterations.settings[iterations.best])
    content = _mapping(path)
    if "search" in content and "model" in content:
        raise UsageError(f"{path} is an experiment already: yolosweep plan {path}")
    content = content["space"] if isinstance(content.get("space"), Mapping) else content
    if is_sweep(content):
        return draft_of_sweep(content)
    if is_arguments(content):
        return draft_of_arguments(content)
    if path.name == _BEST:
        return draft_of_results(None, content)
    if is_space(content):
        return draft_of_space(content)
    raise UsageError(f"{path} is not {_READS}")


def _existing(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except OSError as error:
        raise UsageError(f"cannot read {redacted(str(path))}: {error.strerror}") from error


def _draft_of_folder(folder: Path) -> Draft:
    table = next((folder / name for name in RESULTS if (folder / name).is_file()), None)
    best = folder / _BEST
    if table is not None:
        iterations = _existing(read_results, table)
        chosen = _mapping(best) if best.is_file() else iterations.settings[iterations.best]
        return draft_of_results(iterations, chosen)
    if best.is_file():
        return draft_of_results(None, _mapping(best))
    if (folder / "args.yaml").is_file():
        return draft_of_arguments(_mapping(folder / "args.yaml"))
    raise UsageError(f"{folder} holds none of {', '.join((*RESULTS, _BEST, 'args.yaml'))}")


def _mapping(path: Path) -> dict[str, Any]:
    """Return the content of a YAML or JSON file."""
    try:
        content, _ = read_yaml(path)
    except ExperimentError as error:
        raise UsageError(f"cannot read {path}: {'; '.join(map(str, error.faults))}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path} is not {_READS}")
    return json.loads(json.dumps(content, default=str))  # type: ignore[no-any-return]  # dates become texts


def _text(content: Mapping[str, Any], draft: Draft, name: str) -> str:
    comments: dict[str, list[str]] = {}
    for remark in draft.remarks:
        comments.setdefault(remark.key, []).append(one_line(remark.text)[:_LONGEST])
    head = [
        f"# yaml-language-server: $schema={SCHEMA_FILE.name}",
        f"# Imported from {one_line(name)}, {draft.kind}.",
        *(f"# {text}" for text in comments.pop("", [])),
    ]
    return "\n".join(head) + "\n\n" + commented_yaml(content, comments)
