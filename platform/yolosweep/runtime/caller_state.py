"""Leave the calling process as it was: it may be a notebook or an application with settings of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

__all__ = ["environment_with", "loggers_as_before", "signals_as_before"]


@contextlib.contextmanager
def environment_with(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that are not set yet, while the block runs."""
    added = {key: value for key, value in settings.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


@contextlib.contextmanager
def loggers_as_before(*names: str) -> Iterator[None]:
    """Restore the levels and handlers of loggers when the block ends."""
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    try:
        yield
    finally:
        for logger, level, propagate, handlers in before:
            logger.setLevel(level)
            logger.propagate, logger.handlers = propagate, handlers


@contextlib.contextmanager
def signals_as_before() -> Iterator[None]:
    """Keep the caller's SIGINT and SIGTERM handlers in place while Ray starts and shuts down, and afterwards.

    On startup, Ray installs a Python handler that raises, and its C++ library one that also ends the process 3 s later.
    On shutdown, it resets SIGTERM to the system's default. Outside of the main thread, nobody can install a handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    put = signal.signal
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_others(number: int, handler: Any) -> Any:
        return before[number] if number in before else put(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        signal.alarm(0)  # cancels the end after 3 s
        before[number](number, frame)

    for number, handler in before.items():
        if callable(handler):
            put(number, ask)
    signal.signal = put_others  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = put
        for number, handler in before.items():
            put(number, signal.SIG_DFL if handler is None else handler)  # None: set outside of Python
