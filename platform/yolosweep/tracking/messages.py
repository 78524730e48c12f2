"""What is said to W&B: a handful of frozen values, each tied to the ledger event it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from yolosweep.records import FileRef

__all__ = ["Artifact", "Close", "Message", "Open", "Row", "Summary", "Table", "run_id"]


def run_id(sweep: str, part: str) -> str:
    """Return the W&B run id of a trial, or of the sweep itself (part ``sweep``): the same one for ever."""
    return "ys" + hashlib.sha256(f"{sweep}/{part}".encode()).hexdigest()[:18]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing to say about one W&B run."""

    run: str
    """W&B run id."""
    seq: int
    """Number of the ledger event this comes from."""


@dataclass(frozen=True, kw_only=True)
class Open(Message):
    """Start a run, or go on with it."""

    name: str
    job_type: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row(Message):
    """One line of history; steps only grow, and a step that is there already is not sent again."""

    step: int
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Summary(Message):
    """Headline values of a run that goes on."""

    values: dict[str, Any]
    """None takes a value away."""


@dataclass(frozen=True, kw_only=True)
class Table(Message):
    """The table of all trials, logged as history so that W&B keeps its earlier versions."""

    step: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Artifact(Message):
    """The winner's checkpoint: the one file that is uploaded."""

    name: str
    file: FileRef
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Close(Message):
    """End of a run."""

    exit_code: int
    """0 becomes ``finished``, 255 ``killed`` (what the SDK sends for Ctrl-C), anything else ``failed``."""
    tags: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
