"""What workflows report, on standard error: lines, the progress of long reads, and the live view of the trials."""

from __future__ import annotations

from yolosweep.cli.console import notify
from yolosweep.cli.live_view import LiveView
from yolosweep.cli.progress_bar import progress
from yolosweep.ledger import RunFolder
from yolosweep.records.events import Winner
from yolosweep.workflows.listener import Progress

__all__ = ["ConsoleListener"]


class ConsoleListener:
    """A :class:`~yolosweep.workflows.listener.Listener` for people at a terminal."""

    def info(self, text: str) -> None:
        """Print a line."""
        notify(text)

    def warning(self, text: str) -> None:
        """Print a warning."""
        notify(f"warning: {text}")

    def reading(self, what: str, *, in_bytes: bool = False) -> Progress:
        """Return a progress line."""
        return progress(what, in_bytes=in_bytes)

    def searching(self, folder: RunFolder, trials: int | None, epochs: int) -> LiveView:
        """Return the live view."""
        return LiveView(folder, trials, epochs)

    def ended(self, folder: RunFolder, winner: Winner | None) -> None:
        """Print nothing: commands print their results themselves."""
