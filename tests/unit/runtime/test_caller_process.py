"""The calling process is left as it was: environment, loggers and signal handlers."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from types import FrameType

import pytest

from yolosweep.runtime.caller_state import environment_with, loggers_as_before, signals_as_before


def test_variables_that_are_set_stay_and_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_DEDUP_LOGS", "1")
    before = dict(os.environ)
    with environment_with({"RAY_DEDUP_LOGS": "0", "RAY_OF_A_TEST": "0"}):
        assert (os.environ["RAY_DEDUP_LOGS"], os.environ["RAY_OF_A_TEST"]) == ("1", "0")
    assert dict(os.environ) == before


def test_loggers_come_back_after_an_error() -> None:
    logger, handler = logging.getLogger("ray.of.a.test"), logging.NullHandler()
    logger.setLevel(logging.INFO)
    with contextlib.suppress(RuntimeError), loggers_as_before(logger.name):
        logger.setLevel(logging.CRITICAL)
        logger.propagate = False
        logger.addHandler(handler)
        raise RuntimeError
    assert (logger.level, logger.propagate, logger.handlers) == (logging.INFO, True, [])


def test_handlers_that_are_replaced_inside_come_back() -> None:
    received: list[int] = []

    def mine(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = signal.signal(signal.SIGTERM, mine)
    put = signal.signal
    try:
        with signals_as_before():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as Ray does
            signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.signal is put
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_touches_no_handler() -> None:
    put, seen = signal.signal, []

    def inside() -> None:
        with signals_as_before():
            seen.append(signal.signal)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [put]
