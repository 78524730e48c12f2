"""The interface to a tracker: what a sink provides, and the messages it receives.

To add a tracker, write a module with a :class:`Sink`, list it in :data:`yolosweep.tracking.sink_registry.SINKS`, and
give it a section in the experiment's ``track``. ``tests/contract/test_sink.py`` holds the contract of every sink.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, Protocol

from yolosweep.experiment.schema import Track
from yolosweep.ledger import RunFolder
from yolosweep.records import FileRef

__all__ = [
    "Artifact",
    "Choice",
    "Close",
    "Connection",
    "Destination",
    "Message",
    "NotSent",
    "Open",
    "Outcome",
    "Row",
    "Sink",
    "Summary",
    "Table",
    "TableName",
    "translated",
]

Outcome = Literal["finished", "failed", "cancelled"]
TableName = Literal["trials", "classes"]

_UNSET = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One statement about one tracked run."""

    run: str
    """Id of the tracked run."""
    seq: int
    """Number of the ledger event it comes from."""
    at: datetime = _UNSET
    """When that event was written; the planner sets it."""


@dataclass(frozen=True, kw_only=True)
class Open(Message):
    """Start a tracked run, or resume it."""

    name: str
    """Trial, or the sweep's identifier."""
    kind: Literal["sweep", "trial"]
    sweep: str
    """What groups the runs of one sweep."""
    tags: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row(Message):
    """One line of history; steps only grow."""

    step: int
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Summary(Message):
    """Headline values of a run that continues."""

    values: dict[str, Any]
    """None removes a value."""


@dataclass(frozen=True, kw_only=True)
class Table(Message):
    """A table; it counts as a line of history, so that trackers keep its earlier versions."""

    step: int
    name: TableName = "trials"
    """All trials, or the winner's and trial 0's metrics per class."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Artifact(Message):
    """The winner's checkpoint, and pictures of its answers: the only files that are uploaded."""

    name: str
    file: FileRef
    metadata: dict[str, Any]
    dataset: dict[str, Any] = field(default_factory=dict)
    """What identifies and describes the data it was trained on."""
    pictures: tuple[FileRef, ...] = ()
    """Plots of its validations and its worst images, in ``winner/plots`` and ``winner/worst``."""


@dataclass(frozen=True, kw_only=True)
class Close(Message):
    """End of a run."""

    outcome: Outcome
    tags: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


class NotSent(Exception):
    """Something did not arrive; the text is one line for users and contains no secret."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
        """The tracker rejects these credentials, so a retry is pointless."""


@contextlib.contextmanager
def translated(without_secrets: Callable[[str], str], refused: re.Pattern[str]) -> Iterator[None]:
    """Turn any exception of a tracker's client into :class:`NotSent`: one line without a secret.

    Args:
        without_secrets: removes the credentials from a text.
        refused: found in the text where the tracker rejects the credentials.

    Raises:
        NotSent: something was raised.
    """
    try:
        yield
    except NotSent:
        raise
    except Exception as error:
        text = without_secrets(" ".join(f"{type(error).__name__}: {error}".split()))
        raise NotSent(text[:300], refused=refused.search(text) is not None) from error


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Whether a sweep is mirrored to a sink."""

    sink: str
    online: bool
    line: str
    """One line for the user; empty where the experiment does not ask for this sink."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where the messages of a sweep go, and what a sink may use on the way."""

    address: str
    """As :meth:`Sink.address` returned it."""
    section: Mapping[str, Any]
    """The sink's section of ``track``, as of the first time the experiment had one; empty where it never had."""
    experiment: str
    """Name of the experiment."""
    sweep: str
    search: Mapping[str, Any]
    """The experiment's ``search``, as of its newest event."""
    folder: RunFolder
    """The run folder, which holds the winner's checkpoint."""
    scratch: Path
    """Folder for working files, deleted with the process."""
    follow: bool
    """The process stays until the sweep ends, so it owns the state of every run. Else a run that another process
    continues keeps its state."""


class Connection(Protocol):
    """Tracked runs that are open in the sender process. All methods but ``close`` may raise ``NotSent``."""

    url: str | None
    """Page of the sweep, once known."""
    warnings: dict[str, str]
    """What can never be sent, by name, for example a winner's file that is missing."""
    note: str | None
    """What the tracker shows otherwise than another one would, in one line; nothing is missing."""

    def open(self, opening: Open, *, closes: bool) -> int:
        """Open a run and return the last history step that the tracker has, -1 without any.

        Args:
            opening: name, group, tags and settings.
            closes: the run's messages include its end.
        """

    def send(self, run: str, messages: Sequence[Message]) -> None:
        """Send messages to an open run, oldest first; delivery may happen in the background."""

    def finish(self, run: str, close: Close | None) -> None:
        """Close a run; returns once everything sent has arrived. ``close`` is None where the trial continues."""

    def close(self) -> None:
        """Release the connection after all runs are finished."""


class Sink(Protocol):
    """A tracker that sweeps can be mirrored to. Only ``connect`` may load a client library or use the network."""

    name: str
    """Key of its section in the experiment's ``track``; also names its files in the run folder."""
    title: str
    """Name in messages for users."""
    supports: frozenset[type[Message]]
    """Which of ``Row``, ``Summary``, ``Table`` and ``Artifact`` it can show; it receives no others. ``Open`` and
    ``Close`` are required."""

    def choose(self, track: Track, environ: Mapping[str, str]) -> Choice:
        """Decide whether to mirror, from the sink's section of ``track`` and the environment.

        Raises:
            UsageError: the experiment requires the sink, and credentials are missing.
        """

    def require_ready(self, environ: Mapping[str, str]) -> None:
        """Check before an explicit push that nothing is missing that the user has to provide, such as credentials.

        Raises:
            UsageError: something is; the text names the fix.
        """

    def address(self, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        """Return the address that runs are sent to: a URL, or any text that identifies a place without a server.

        A section comes from a ledger that somebody else may have written, so what it names must never receive
        credentials.

        Args:
            section: the sink's section of ``track``, empty where the experiment has none.
            environ: the environment.
        """

    def run_id(self, sweep: str, part: str) -> str:
        """Return the id of a trial's run, or of the sweep's own run (part ``sweep``); it never changes."""

    def connect(self, destination: Destination) -> Connection:
        """Connect; called once in a sender process, which may change its environment and be killed at any time."""
