"""How a workflow reports progress: to a listener that the caller passes, or to the log."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from yolosweep.ledger import RunFolder, Tail
from yolosweep.records.events import Event, Winner
from yolosweep.records.worker_activity import Activity
from yolosweep.workflows.event_lines import line_of

__all__ = ["Listener", "LogListener", "Progress"]

Progress = Callable[[int, int], None]
"""Takes how many files, or bytes, are done, and of how many."""

_POLL_S = 0.5


class Listener(Protocol):
    """Receives what a workflow reports while it runs. Every method returns at once."""

    def info(self, text: str) -> None:
        """Take a line about progress; one that ends with ``…`` names work that lasts until the next report."""

    def warning(self, text: str) -> None:
        """Take a line about something that may need attention."""

    def reading(self, what: str, *, in_bytes: bool = False) -> Progress:
        """Return the function that receives the progress of a long read."""

    def searching(self, folder: RunFolder, trials: int | None, epochs: int) -> AbstractContextManager[object]:
        """Return the context in which the trials run; the ledger of the folder grows meanwhile.

        Args:
            folder: the run folder.
            trials: how many trials are planned; None where a budget decides.
            epochs: planned epochs of one trial.
        """

    def activities(self, now: Sequence[Activity]) -> None:
        """Take what the workers do, about once a second while the trials run."""

    def ended(self, folder: RunFolder, winner: Winner | None) -> None:
        """Take the outcome of a sweep, once everything is written; also of one that was interrupted."""


class LogListener:
    """Writes to the logger ``yolosweep`` and leaves its configuration to the application.

    Override :meth:`event` to receive the events of the ledger while the trials run.
    """

    def __init__(self) -> None:
        self._log = logging.getLogger("yolosweep")

    def info(self, text: str) -> None:
        """Log a line about progress."""
        self._log.info("%s", text)

    def warning(self, text: str) -> None:
        """Log a warning."""
        self._log.warning("%s", text)

    def reading(self, what: str, *, in_bytes: bool = False) -> Progress:
        """Return a function that ignores the progress of a read."""
        return lambda done, of: None

    def event(self, event: Event) -> None:
        """Log an event of the ledger."""
        if line := line_of(event):
            self.info(line)

    @contextlib.contextmanager
    def searching(self, folder: RunFolder, trials: int | None, epochs: int) -> Iterator[None]:
        """Pass what is appended to the ledger to :meth:`event`, in a thread of its own."""
        tail, over = Tail(folder.ledger), threading.Event()
        for _ in tail.read():
            pass  # what was recorded before
        thread = threading.Thread(target=self._follow, args=(tail, over), name="ledger-tail", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def activities(self, now: Sequence[Activity]) -> None:
        """Ignore what the workers do."""

    def ended(self, folder: RunFolder, winner: Winner | None) -> None:
        """Log where the report is."""
        self.info(f"report: {folder.report}")

    def _follow(self, tail: Tail, over: threading.Event) -> None:
        while True:
            last = over.wait(_POLL_S)
            for event in tail.read():
                self.event(event)
            if last:
                return
