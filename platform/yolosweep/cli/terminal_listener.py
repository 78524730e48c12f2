"""What workflows report, on standard error: lines, the progress of long reads, and the live view of the trials."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from yolosweep.cli.console import is_terminal, notify, overwrite, wrapped
from yolosweep.cli.live_view import LiveView
from yolosweep.cli.progress_bar import progress
from yolosweep.cli.spinner import Spinner
from yolosweep.ledger import RunFolder
from yolosweep.records.events import Winner
from yolosweep.records.worker_activity import Activity
from yolosweep.workflows.progress_listener import Progress

__all__ = ["ConsoleListener"]


class ConsoleListener:
    """A :class:`~yolosweep.workflows.progress_listener.Listener` for people at a terminal."""

    def __init__(self) -> None:
        self._spinner: Spinner | None = None
        self._view: LiveView | None = None

    def info(self, text: str) -> None:
        """Print a line; on a terminal, work that lasts gets a spinner until the next report."""
        self.rest()
        if text.endswith("…") and is_terminal(sys.stderr):
            self._spinner = Spinner(text)
        else:
            notify(wrapped(text) if text.startswith("note: ") else text)

    def warning(self, text: str) -> None:
        """Print a warning."""
        self.rest()
        notify(wrapped(f"warning: {text}"))

    def reading(self, what: str, *, in_bytes: bool = False) -> Progress:
        """Return a progress line; while a spinner turns, the progress is part of its line."""
        return progress(what, in_bytes=in_bytes, show=self._show)

    def searching(self, folder: RunFolder, trials: int | None, epochs: int) -> LiveView:
        """Return the live view."""
        self.rest()
        self._view = LiveView(folder, trials, epochs)
        return self._view

    def activities(self, now: Sequence[Activity]) -> None:
        """Pass what the workers do on to the live view."""
        if self._view is not None:
            self._view.activities = tuple(now)

    def ended(self, folder: RunFolder, winner: Winner | None) -> None:
        """End the spinner; commands print their results themselves."""
        self.rest()

    def rest(self) -> None:
        """End the spinner, if one turns."""
        spinner, self._spinner = self._spinner, None
        if spinner is not None:
            spinner.stop()

    def _show(self, text: str) -> None:
        if self._spinner is not None:
            self._spinner.detail = text
        else:
            overwrite(text)
