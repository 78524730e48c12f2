"""A node that is about to go (spot, pre-emption, maintenance): its trainings store their state and end, none begins.

The notice is a file in this user's cache folder, under the machine's name because a home may be shared by many. Whoever
is told first leaves it: ``yolosweep leave``, and ``yolosweep node`` around ``ray start``. Trainings hold a lock beside
it while they run. It runs out, so that a machine which stays, or comes back with the same disk, trains again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["NOTICE_S", "announce_leaving", "clear_notice", "is_draining", "training_lock"]

NOTICE_S = 600.0
"""How long a notice counts."""
_POLL_S = 0.1


def _notice() -> Path:
    return cache_folder() / "machines" / socket.gethostname() / "leaving"


def _workers() -> Path:
    return _notice().with_name("at-work")


def is_draining() -> bool:
    """Tell whether this machine was told that it has to go."""
    try:
        told_s = float(_notice().read_text())
    except (OSError, ValueError):
        return False
    return abs(time.time() - told_s) < NOTICE_S


def clear_notice() -> None:
    """Take an older notice back: this machine begins anew."""
    _notice().unlink(missing_ok=True)


@contextlib.contextmanager
def training_lock() -> Iterator[None]:
    """Let who says farewell wait for what is done in the ``with`` block; a process that dies is not waited for."""
    _workers().mkdir(parents=True, exist_ok=True, mode=0o700)
    place = _workers() / f"{os.getpid()}-{secrets.token_hex(4)}.lock"
    with FileLock(place):
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def announce_leaving(grace_s: float, *, clock: Callable[[], float] = time.monotonic) -> int:
    """Tell the trainings on this machine to store their state and end, and wait for them.

    Args:
        grace_s: how long to wait at most, seconds.
        clock: for tests.

    Returns:
        How many still run.

    Raises:
        OSError: the cache folder cannot be written.
    """
    write_atomic(_notice(), str(time.time()))
    end = clock() + grace_s
    while (left := _still_at_work()) and clock() < end:
        time.sleep(_POLL_S)
    return left


def _still_at_work() -> int:
    return sum(_is_held(place) for place in _workers().glob("*.lock"))


def _is_held(place: Path) -> bool:
    try:
        with FileLock(place, timeout=0):
            place.unlink(missing_ok=True)
    except Timeout:
        return True
    except OSError:
        return False
    return False
