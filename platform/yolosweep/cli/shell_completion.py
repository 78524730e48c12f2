"""What a shell completes: overrides with their choices or defaults, and run folders.

A key is completed together with a value, because bash adds a space after a completion, which would part the two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

__all__ = ["complete_override", "complete_run"]

_LEDGER = "ledger.jsonl"
_STORAGE = "runs"
_MOST = 500
_SCHEMA = Path(__file__).parents[1] / "experiment" / "experiment.schema.json"
"""As a file: importing what describes it takes longer than people wait for a completion."""


def complete_override(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the overrides that begin as typed; bash takes ``=`` for the end of a word and asks for the value alone."""
    words = [str(word) for word in ctx.params.get("overrides") or ()]
    if words[-1:] == ["="]:
        words.pop()
        return [value for _, value in _pairs("".join(words[-1:])) if value.startswith(incomplete)]
    if not incomplete and words and "=" not in words[-1] and words[-2:-1] != ["="]:  # typer removes the "=" itself
        return [value for _, value in _pairs(words[-1])]
    return [pair for key, value in _pairs() if (pair := f"{key}={value}").startswith(incomplete)][:_MOST]


def complete_run(incomplete: str) -> list[str]:
    """Return the run folders that begin as typed, newest first; without a folder, those in ``runs``."""
    folder = incomplete.rpartition("/")[0]
    places = [Path(folder or ("/" if incomplete.startswith("/") else "."))]
    if not folder and not incomplete.startswith("/"):
        places.append(Path(_STORAGE))
    found = [
        (entry.stat().st_mtime, os.path.relpath(entry.path) if not incomplete.startswith("/") else entry.path)
        for place in places
        if place.is_dir()
        for entry in os.scandir(place)
        if entry.is_dir() and Path(entry.path, _LEDGER).is_file()
    ]
    return [path for _, path in sorted(found, reverse=True) if path.startswith(incomplete)]


def _pairs(key: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield keys and values: each choice of a key that has choices, else its default; of one key, or of all."""
    document = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    for name, node in _leaves(document, document):
        if key is None or name == key:
            yield from ((name, value) for value in _values(node))


def _leaves(node: Mapping[str, Any], document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of the schema that hold a single value."""
    for name, found in (node.get("properties") or {}).items():
        below = _resolved(found, document)
        if below.get("properties"):
            yield from _leaves(below, document, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", below


def _resolved(node: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference points to, also one of several alternatives."""
    for one in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
        if "$ref" in one:
            target: Mapping[str, Any] = document["$defs"][one["$ref"].rpartition("/")[2]]
            return {**target, **{key: value for key, value in node.items() if key == "default"}}
    return node


def _values(node: Mapping[str, Any]) -> list[str]:
    kinds = [node, *node.get("anyOf", ())]
    choices = [value for kind in kinds for value in kind.get("enum", [kind["const"]] if "const" in kind else [])]
    if any(kind.get("type") == "boolean" for kind in kinds):
        choices += [True, False]
    default = node.get("default")
    if not choices and (default is None or isinstance(default, (dict, list))):
        return [""]
    return list(dict.fromkeys(_text(value) for value in choices or [default]))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
