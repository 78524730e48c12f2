"""What Ctrl-C and SIGTERM do to a sweep, from before Ray starts until everything is written."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["Stop"]

_GRACE_S = 30.0
"""From the first request to stop to stopping at once: what a spot machine's notice leaves room for."""


class Stop:
    """Takes SIGINT and SIGTERM while the ``with`` block runs; a second one raises KeyboardInterrupt wherever it comes.

    The first one does so too, unless it comes in a block that can say better when to stop.

    Args:
        say: prints a line for people.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._first: Callable[[str], None] | None = None
        self._before: dict[int, Any] = {}
        self.signal: int | None = None
        """The first signal that came."""

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt where a stop was asked for."""
        if self.signal is not None:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def waits(self) -> Iterator[None]:
        """Leave it to :meth:`check` to stop while the block runs: an exception amid Ray's start may bring it down."""
        with self._does(lambda name: self._say(f"{name}: stopping as soon as Ray can; once more to stop at once")):
            yield

    @contextlib.contextmanager
    def tells(self, cancel: Callable[[str], None]) -> Iterator[None]:
        """Let ``cancel`` end what the block runs; where that takes too long it is stopped at once."""

        def first(name: str) -> None:
            self._say(f"{name}: stopping the running trials and keeping everything; once more to stop at once")
            cancel(f"stopped by {name}")
            impatient.start()

        impatient = threading.Timer(_GRACE_S, lambda: os.kill(os.getpid(), self.signal or signal.SIGTERM))
        impatient.daemon = True
        try:
            with self._does(first):
                self.check()  # it came just before
                yield
        finally:
            impatient.cancel()

    @contextlib.contextmanager
    def _does(self, first: Callable[[str], None]) -> Iterator[None]:
        before, self._first = self._first, first
        try:
            yield
        finally:
            self._first = before

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None or self._first is None:
            self.signal = self.signal or number
            raise KeyboardInterrupt
        self.signal = number
        self._first(signal.Signals(number).name)
