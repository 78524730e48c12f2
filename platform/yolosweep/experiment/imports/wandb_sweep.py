"""Sweep files of Weights & Biases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.experiment.imports.experiment_draft import Draft
from yolosweep.experiment.imports.wandb_distributions import entry_of

__all__ = ["draft_of_sweep", "is_sweep"]

_METHODS = {"grid": "grid", "random": "random", "bayes": "gp"}
_TRIALS = 20
_LEVELS = 20
_NO_PLACE = {
    "program": "trials are trainings, no program is started",
    "description": "an experiment has none; write a comment",
    "controller": "the search runs on its own",
    "imports": "nothing is imported",
}


def is_sweep(content: Mapping[str, Any]) -> bool:
    """Return whether a file is a W&B sweep."""
    return isinstance(content.get("parameters"), Mapping) and not {"search", "space"} & content.keys()


def draft_of_sweep(content: Mapping[str, Any]) -> Draft:
    """Return a sweep as the draft of an experiment."""
    draft = Draft(kind="W&B sweep")
    for key, value in content.items():
        if key in _NO_PLACE:
            draft.drop(f"{key}: {value}", _NO_PLACE[key])
        elif key not in _READ:
            draft.drop(str(key), "an experiment has no such key")
    if isinstance(content.get("name"), str):
        draft.top["name"] = content["name"]
    if place := {key: str(content[key]) for key in ("project", "entity") if content.get(key)}:
        draft.track["wandb"] = place
    for name, spec in _flat(content["parameters"]):
        _take_parameter(draft, name, spec)
    _take_command(draft, content.get("command"))
    _take_method(draft, content)
    _take_metric(draft, content)
    _take_early_termination(draft, content.get("early_terminate"))
    return draft


_READ = frozenset(
    ("name", "project", "entity", "parameters", "command", "method", "metric", "run_cap", "early_terminate")
)


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield parameters by dotted name; W&B nests them below ``parameters``."""
    for name, spec in parameters.items():
        nested = spec.get("parameters") if isinstance(spec, Mapping) else None
        if isinstance(nested, Mapping) and prefix.count(".") < _LEVELS:
            yield from _flat(nested, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", spec


def _take_parameter(draft: Draft, name: str, spec: Any) -> None:
    if not isinstance(spec, Mapping):
        draft.fix(name, spec)  # not valid at W&B, and what is meant is clear
        return
    try:
        entry, changed = entry_of(spec)
    except ValueError as error:
        draft.drop(name, str(error))
        return
    draft.vary(name, entry, changed)


def _take_command(draft: Draft, command: Any) -> None:
    """Take over the settings that a command passes as ``key=value``, ``--key value`` or ``--key=value``."""
    if not command:
        return
    words = [str(word) for word in command] if isinstance(command, list) else str(command).split()
    known = {*DEFAULT_BACKEND.arguments.defaults, *DEFAULT_BACKEND.arguments.aliases, "weights"}
    taken = {key: value for key, value in _pairs(words) if key.replace("-", "_") in known and "${" not in value}
    for key, value in taken.items():
        draft.fix(key, _value(value))
    if "yolo" in words and (task := set(words) & set(DEFAULT_BACKEND.tasks)):
        draft.top.setdefault("task", task.pop())
    kept = f"; taken from it: {', '.join(f'{key}={value}' for key, value in taken.items())}" if taken else ""
    draft.drop("command", f"trials are trainings, no program is started{kept}")


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        key, separator, value = word.lstrip("-").partition("=")
        if separator:
            yield key, value
        elif word.startswith("--") and not following.startswith(("-", "$")):
            yield key, following


def _value(text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return text


def _take_method(draft: Draft, content: Mapping[str, Any]) -> None:
    method, cap = str(content.get("method")), content.get("run_cap")
    draft.search["searcher"] = _METHODS.get(method, "gp")
    if method not in ("grid", "random"):
        draft.remark("search.searcher", f"was method: {method}")
    if isinstance(cap, int) and cap > 0:
        draft.search = {"trials": cap, **draft.search}
    elif method != "grid":
        draft.search = {"trials": _TRIALS, **draft.search}
        draft.remark("search.trials", "the file has no run_cap: W&B would go on until it is stopped")


def _take_metric(draft: Draft, content: Mapping[str, Any]) -> None:
    metric = content.get("metric")
    if isinstance(metric, Mapping) and metric.get("name"):
        draft.metric = str(metric["name"])
        loss = re.search("loss$", draft.metric) is not None
        if str(metric.get("goal", "minimize")) == "minimize" and not loss:
            draft.drop(f"goal: minimize of {draft.metric}", "more of it is better")
        if metric.get("target") is not None:
            draft.drop(f"target: {metric['target']}", "a search ends with its budget")


def _take_early_termination(draft: Draft, rule: Any) -> None:
    if not isinstance(rule, Mapping):
        return
    if str(rule.get("type", "hyperband")) != "hyperband":
        draft.drop(f"early_terminate: {rule['type']}", "the default pruner stops what has hardly a chance")
        return
    eta, least = rule.get("eta", 3), rule.get("min_iter")
    draft.search |= {"pruner": "asha", **({"reduction_factor": eta} if isinstance(eta, int) and eta > 1 else {})}
    if isinstance(least, int) and least > 0:
        draft.search["grace_epochs"] = least
    elif rule.get("max_iter") is not None:
        draft.drop(f"early_terminate.max_iter: {rule['max_iter']}", "train.epochs is the longest training")
    if rule.get("s") is not None:
        draft.drop(f"early_terminate.s: {rule['s']}", "asha has one bracket")
    draft.remark("search.pruner", "was early_terminate: hyperband; asha compares trials at the same epochs")
