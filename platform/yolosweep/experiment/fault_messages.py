"""Faults in the terms of the file, made from pydantic's errors, and all of them at once.

pydantic checks the shape of the file; the rules across fields need a complete experiment. So the faulty keys are
removed, the rest is checked again, and both lists are shown together.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from yolosweep.backends.arguments import nearest_name
from yolosweep.errors import Fault
from yolosweep.experiment.rules import lint, lint_names
from yolosweep.experiment.schema import Experiment, Track
from yolosweep.experiment.unknown_keys import explain_unknown

__all__ = ["check"]

_STAND_INS: dict[str, Any] = {"name": "x", "model": "yolo26n.pt", "data": "data.yaml"}
_PARAMETERS = "write what to search, e.g. parameters: {lr0: {min: 0.001, max: 0.1}}"
_MISSING = {
    "name": "write e.g. name: parking-lot",
    "model": "write e.g. model: yolo26n.pt",
    "data": "write e.g. data: data.yaml",
    "search": "write what to search, e.g. search: {trials: 20, parameters: {lr0: {min: 0.001, max: 0.1}}}",
    "search.parameters": _PARAMETERS,
}
_TASKS: tuple[str, ...] = get_args(Experiment.model_fields["task"].annotation)


def check(content: Mapping[str, Any]) -> tuple[Experiment | None, list[Fault]]:
    """Return the experiment a file describes (None if its shape is wrong) and every fault in it."""
    try:
        exp = Experiment.model_validate(content)
    except ValidationError as error:
        found = [(_path_of(item["loc"]), item) for item in error.errors()]
        faults = list({_dotted(where): _fault(where, item) for where, item in reversed(found)}.values())[::-1]
        return None, faults + _rest(content, [where for where, _ in found])
    return exp, lint(exp)


def _rest(content: Mapping[str, Any], faulty: Sequence[list[str | int]]) -> list[Fault]:
    """Return the faults across fields that do not depend on a faulty key."""
    keys = {_dotted(where) for where in faulty}
    if keys & {"train", "search", "search.parameters", "augmentations"}:
        return []
    healthy = copy.deepcopy(dict(content))
    for where in faulty:
        _remove(healthy, where)
    try:
        candidates = [healthy] if "task" not in keys else [{**healthy, "task": task} for task in _TASKS]
        experiments = [Experiment.model_validate(candidate) for candidate in candidates]
    except ValidationError:  # a removed key was needed by another
        return []
    per_task = [lint(exp) for exp in experiments]
    names = {(fault.key, fault.message) for fault in lint_names(experiments[0])}
    common = set.intersection(*({(fault.key, fault.message) for fault in faults} for faults in per_task))
    axes = {_dotted(where[:3]) for where in faulty if where[:2] == ["search", "parameters"]}
    rest = []
    for fault in per_task[0]:
        known = any(fault.key == key or fault.key.startswith((f"{key}.", f"{key}[")) for key in keys | axes)
        what = (fault.key, fault.message)
        if what in common and (not known or what in names):
            rest.append(fault)
    return rest


def _remove(content: dict[str, Any], where: list[str | int]) -> None:
    """Remove a faulty key; where the file requires one, insert a value that no rule objects to."""
    if where[:2] == ["search", "parameters"] and len(where) > 2:
        content["search"]["parameters"][where[2]] = {"values": ["?", "??"]}
        return
    if where[0] == "augmentations" and len(where) > 1:
        content["augmentations"][where[1]] = [{"Blur": {}}]
        return
    if len(where) == 1 and where[0] in _STAND_INS:
        content[str(where[0])] = _STAND_INS[str(where[0])]
        return
    parent: Any = content
    for part in where[:-1]:
        parent = parent[part]
    if isinstance(parent, dict):
        parent.pop(where[-1], None)


def _path_of(location: Sequence[str | int]) -> list[str | int]:
    """Return the path of an error in the file: pydantic appends the branch of a union, or ``[key]``."""
    where = list(location)
    while len(where) > 1 and where[:-1] != ["search", "parameters"] and _is_branch(where[-1]):
        where.pop()
    return where


def _is_branch(part: str | int) -> bool:
    return isinstance(part, str) and (part in ("int", "float", "constrained-float") or "[" in part)


def _fault(where: list[str | int], item: Mapping[str, Any]) -> Fault:
    """Return one pydantic error as a fault: value, rule and fix."""
    key, kind, value = _dotted(where), str(item["type"]), item.get("input")
    if kind == "extra_forbidden":
        message = explain_unknown(where, value)
    elif kind == "missing":
        message = f"is missing; {_MISSING.get(key, 'it has no default')}"
    elif kind == "invalid_key" or item["loc"][-1] == "[key]":
        key = ".".join(str(part) for part in where)
        message = "a key must be text; put it in quotes or remove it"
    elif value is None and kind.endswith("_type"):
        message = "is empty; remove the key, or write something below it"
    elif kind == "value_error":
        message = str(item["msg"]).removeprefix("Value error, ")
    else:
        rule = _rule(key, kind, value, item.get("ctx") or {})
        message = f"{_abbreviated(value)}{'' if rule.startswith(':') else ' '}{rule}"
    return Fault(key=key, message=message)


def _rule(key: str, kind: str, value: object, context: Mapping[str, Any]) -> str:
    """Return the broken rule and the fix, by key if there is a text for it, else by pydantic's type of error."""
    if key in _BY_KEY:
        return _BY_KEY[key](value)
    if kind == "literal_error":
        allowed = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        guess = nearest_name(str(value), allowed.split(", "))
        return f"must be one of {allowed}" + (f"; did you mean {guess}?" if guess else "")
    if kind in ("greater_than", "greater_than_equal"):
        low = context.get("ge", context.get("gt"))
        return f"is too small; it must be {low:g} or more" if "ge" in context else f"must be above {low:g}"
    if kind == "less_than_equal":
        return f"is too large; it must be {context['le']} or less"
    if key.startswith("augmentations."):
        return _PIPELINE
    for start, rule in _BY_TYPE:
        if kind.startswith(start):
            return rule
    raise AssertionError(f"no text for pydantic's {kind} at {key}")  # pragma: no cover


_PIPELINE = "must be a list of transforms with their settings, e.g. [{Blur: {p: 0.3}}, {CLAHE: {p: 0.1}}]"
_BY_TYPE = (
    ("int_", "must be a whole number, e.g. 8"),
    ("float_", "must be a number, e.g. 0.5"),
    ("string_too_short", "is empty; write something or remove the key"),
    ("string_", "must be text; put it in quotes"),
    ("too_short", "is empty; write at least one entry"),
    ("list_", "must be a list, e.g. [8, 16]"),
    ("tuple_", "must be a list, e.g. [first, second]"),
    ("dict_", "must be a mapping of keys to values, e.g. {epochs: 50}"),
    ("model_", "must be a mapping of keys to values"),
    ("bool_", "must be true or false"),
)


def _search(value: object) -> str:
    return f"is not a mapping; {_MISSING['search']}" if value != {} else f"is empty; {_PARAMETERS}"


_BY_KEY: dict[str, Callable[[object], str]] = {
    "name": lambda _: (
        "must start with a letter or a digit and hold up to 64 letters, digits, '.', '_' and '-'; "
        'e.g. name: parking-lot (a number or a date goes in quotes, e.g. name: "2024")'
    ),
    "resources.gpus_per_trial": lambda _: "must be 0 (the CPU), a share such as 0.5, a whole number of GPUs, or auto",
    "resources.cpus_per_trial": lambda _: "must be auto or a number from 1 up, e.g. 2",
    "search": _search,
    "search.parameters": _search,
    "search.finals": lambda _: "must be a mapping, e.g. {top: 3, seeds: 3}, or none",
    "track.wandb.project": lambda _: (
        "must hold 1 to 128 characters, none of / \\ # ? % :, as W&B asks; a path belongs under storage:"
    ),
    "track.wandb.mode": lambda value: (
        "is not set here; type WANDB_MODE=offline before yolosweep, and send the folders in RUN/wandb with wandb sync"
        if value == "offline"
        else "must be one of auto, online, off"
    ),
    **{f"track.{sink}": lambda _: "must be a mapping; {} takes all defaults" for sink in Track.model_fields},
}


def _abbreviated(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(where: Sequence[str | int]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
