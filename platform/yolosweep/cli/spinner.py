"""A line that turns while something takes time: what it is, for how long already, and how far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from yolosweep.cli.console import notify, stderr_console

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["FRAMES", "Spinner"]

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PER_S = 8
_WORTH_SAYING_S = 2.0
"""Shorter work gets no duration."""


class Spinner:
    """Turns on a terminal from the moment it is made until it is stopped, then leaves its text as a plain line."""

    def __init__(self, text: str) -> None:
        from rich.live import Live

        self._text, self._started = text, time.monotonic()
        self.detail = ""
        """How far it is, in a few words."""
        self._live = Live(
            console=stderr_console(), get_renderable=self._line, refresh_per_second=_PER_S, transient=True
        )
        self._live.start()

    def clear(self) -> None:
        """Leave nothing."""
        self._live.stop()

    def stop(self) -> None:
        """Leave the text, with the duration of what took long."""
        self.clear()
        seconds = time.monotonic() - self._started
        notify(f"{self._text} {seconds:.0f} s" if seconds >= _WORTH_SAYING_S else self._text)

    def _line(self) -> Text:
        from rich.text import Text

        seconds = time.monotonic() - self._started
        frame = FRAMES[int(seconds * _PER_S) % len(FRAMES)]
        line = f"{frame} {self._text} {seconds:.0f} s  {self.detail}"
        return Text(line.rstrip(), no_wrap=True, overflow="ellipsis")
