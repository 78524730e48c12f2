"""The args.yaml of an Ultralytics training: what it set stays fixed, and the rest is searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from yolosweep.backends import backend_for
from yolosweep.experiment.imports.experiment_draft import Draft
from yolosweep.records import DataProfile

__all__ = ["draft_of_arguments", "is_arguments"]

_FEW = 2
"""Parameters that a search has at least."""


def is_arguments(content: Mapping[str, Any]) -> bool:
    """Return whether a file holds the arguments of a training."""
    return "model" in content and bool({"data", "epochs", "imgsz", "mode"} & content.keys())


def draft_of_arguments(content: Mapping[str, Any]) -> Draft:
    """Return a training as the draft of an experiment: trial 0 is that training, unless it set everything."""
    draft = Draft(kind="args.yaml of Ultralytics")
    backend = backend_for(str(content["model"]))
    task = str(content.get("task"))
    task = task if task in backend.tasks else "detect"
    known = backend.arguments
    draft.top |= {
        key: content[key] for key in ("name", "task", "model", "data", "seed") if content.get(key) is not None
    }
    set_here = {key: value for key, value in content.items() if value is not None and key not in draft.top}
    for name, value in set_here.items():
        if name in known.owned or name in known.not_training or name in known.runtime_only:
            if value != known.defaults.get(name) and name != "mode":
                draft.drop(f"{name}: {value}", known.owned.get(name, "it does not change what a trial learns"))
        elif value != known.defaults.get(name):
            draft.fix(name, value)
    space = _starter_space(backend.starter(task, DataProfile()).space)
    left = {name: entry for name, entry in space.items() if name not in draft.train}
    if len(left) < _FEW:
        left = {name: entry for name, entry in space.items() if draft.train.pop(name, None) is not None} | left
        draft.remark("", "what is searched was set in the file: trial 0 has the library's defaults instead")
    for name, entry in left.items():
        draft.vary(name, entry)
    draft.search["trials"] = 20
    draft.remark("search.trials", "args.yaml is one training: the search is the one that `yolosweep init` writes")
    return draft


def _starter_space(lines: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    space: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load("\n".join(lines))
    return space
