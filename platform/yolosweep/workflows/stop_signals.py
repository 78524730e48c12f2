"""How a sweep reacts to SIGINT and SIGTERM, from before Ray starts until everything is written."""

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
"""From the first request to stop to an immediate stop; fits into the notice of a spot instance."""


class Stop:
    """Handles SIGINT and SIGTERM while the ``with`` block runs. The second signal always raises KeyboardInterrupt.

    So does the first one, except inside :meth:`waits` and :meth:`cancels`, which stop in an orderly way. Outside of the
    main thread, which alone receives signals, nothing is handled.

    Args:
        notify: prints a line for people.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._first: Callable[[str], None] | None = None
        self._before: dict[int, Any] = {}
        self.signal: int | None = None
        """The first signal received."""

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: set outside of Python
        # KeyboardInterrupt that left an exec() of a text, as dataclasses use it on import, makes CPython end a
        # ``python -m`` process by SIGINT whatever its exit code is, until the next such call returns.
        eval("0")

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was requested."""
        if self.signal is not None:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def waits(self) -> Iterator[None]:
        """Defer the first signal to :meth:`check` while the block runs: an exception while Ray starts may crash it."""
        with self._on_first(
            lambda name: self._notify(f"{name}: stopping as soon as Ray allows; repeat to stop at once")
        ):
            yield

    @contextlib.contextmanager
    def cancels(self, cancel: Callable[[str], None]) -> Iterator[None]:
        """Let ``cancel`` end what the block runs; stop at once if that takes too long."""

        def first(name: str) -> None:
            self._notify(f"{name}: stopping the running trials and keeping all results; repeat to stop at once")
            cancel(f"stopped by {name}")
            deadline.start()

        deadline = threading.Timer(_GRACE_S, lambda: os.kill(os.getpid(), self.signal or signal.SIGTERM))
        deadline.daemon = True
        try:
            with self._on_first(first):
                self.check()  # a signal may have come just before
                yield
        finally:
            deadline.cancel()

    @contextlib.contextmanager
    def _on_first(self, first: Callable[[str], None]) -> Iterator[None]:
        before, self._first = self._first, first
        try:
            yield
        finally:
            self._first = before

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None or self._first is None:
            self.signal = self.signal or number
            raise KeyboardInterrupt
        self.signal = number
        self._first(signal.Signals(number).name)
