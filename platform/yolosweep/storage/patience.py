"""Calls to a storage that does not answer for a while: tried again with growing waits, then refused."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from yolosweep.errors import RunFolderError

__all__ = ["outages", "patiently"]

_PATIENCE_S = 300.0
"""How long an outage is ridden out: well below the ten minutes after which a training counts as standing still."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 15.0

_HERE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""What is wrong with a disk of this machine; no waiting mends it."""

Answer = TypeVar("Answer")

_lock = threading.Lock()
_told: list[str] = []


def patiently(call: Callable[[], Answer], address: str, *, patience_s: float | None = None) -> Answer:
    """Return what a call to a storage returns, after an outage of up to five minutes.

    Raises:
        FileNotFoundError: there is no such object.
        OSError: a disk of this machine is full or cannot be written.
        RunFolderError: the storage refused or did not answer to the end; with the last cause and the way out.
    """
    patience_s = _PATIENCE_S if patience_s is None else patience_s
    begun, wait = time.monotonic(), _FIRST_WAIT_S
    waited = False
    while True:
        try:
            answer = call()
            break
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in _HERE:
                raise
            left = patience_s - (time.monotonic() - begun)
            if left <= 0:
                raise RunFolderError(_refused(address, error, time.monotonic() - begun if waited else 0)) from error
            time.sleep(min(wait, left))
            wait, waited = min(2 * wait, _LONGEST_WAIT_S), True
    if waited:
        with _lock:
            _told.append(f"the storage did not answer for {time.monotonic() - begun:.0f} s; nothing was lost")
    return answer


def outages() -> tuple[str, ...]:
    """Return the outages this process rode out since this was last asked, one sentence each."""
    with _lock:
        told = tuple(_told)
        _told.clear()
    return told


def _refused(address: str, error: OSError, waited_s: float) -> str:
    said = (str(error).splitlines() or [type(error).__name__])[0][:300]
    after = f", for {waited_s:.0f} s" if waited_s else ""
    return (
        f"storage: {address} cannot be used{after} ({said}); check the address, that the bucket exists, and the "
        "credentials in the environment"
    )
