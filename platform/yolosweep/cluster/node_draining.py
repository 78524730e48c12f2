"""Drain a node that is about to shut down: its trainings checkpoint and end, and none starts.

The preemption notice is a file in this user's cache folder, under the machine's name because machines may share a home.
``yolosweep leave`` writes it, and so does ``yolosweep node`` around ``ray start``. Each training holds a lock file
beside it. The notice expires, so a machine that stays up, or comes back with the same disk, trains again.
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

__all__ = ["NOTICE_TTL_S", "clear_notice", "drain", "is_draining", "training_lock"]

NOTICE_TTL_S = 600.0
"""How long a preemption notice is valid."""
_POLL_S = 0.1


def _notice() -> Path:
    return cache_folder() / "machines" / socket.gethostname() / "leaving"


def _locks() -> Path:
    return _notice().with_name("at-work")


def is_draining() -> bool:
    """Return whether this machine has a valid preemption notice."""
    try:
        written_s = float(_notice().read_text())
    except (OSError, ValueError):
        return False
    return abs(time.time() - written_s) < NOTICE_TTL_S


def clear_notice() -> None:
    """Remove the preemption notice of an earlier shutdown."""
    _notice().unlink(missing_ok=True)


@contextlib.contextmanager
def training_lock() -> Iterator[None]:
    """Make :func:`drain` wait for the ``with`` block; the lock of a process that dies is released."""
    _locks().mkdir(parents=True, exist_ok=True, mode=0o700)
    path = _locks() / f"{os.getpid()}-{secrets.token_hex(4)}.lock"
    with FileLock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def drain(grace_s: float, *, clock: Callable[[], float] = time.monotonic) -> int:
    """Give this machine's trainings the preemption notice, and wait until they have checkpointed and ended.

    Args:
        grace_s: how long to wait at most, seconds.
        clock: monotonic clock, seconds.

    Returns:
        Number of trainings that still run.

    Raises:
        OSError: the cache folder cannot be written.
    """
    write_atomic(_notice(), str(time.time()))
    end = clock() + grace_s
    while (left := _running()) and clock() < end:
        time.sleep(_POLL_S)
    return left


def _running() -> int:
    return sum(_is_held(path) for path in _locks().glob("*.lock"))


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
    except Timeout:
        return True
    except OSError:
        return False
    return False
