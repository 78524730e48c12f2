"""Calls to a storage: an outage is waited out with growing waits; a refusal ends the call at once."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from yolosweep.errors import RunFolderError, YolosweepError

__all__ = ["Conflict", "Refused", "outages", "retrying"]

_WAIT_S = 300.0
"""How long an outage is waited out: well below the ten minutes after which a training counts as stalled."""

_HERE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Faults of a disk of this machine that no waiting repairs."""

_FIX = "check the address, that the bucket exists, and the credentials in the environment"

Answer = TypeVar("Answer")

_lock = threading.Lock()
_notes: list[str] = []


class Refused(Exception):
    """The storage answered, and the same call will be answered the same way again: no permission, no such bucket."""


class Conflict(Exception):
    """An object is not the version that a conditional write expects: somebody else has written it."""


def retrying(
    call: Callable[[], Answer],
    place: str,
    *,
    wait_s: float | None = None,
    first_wait_s: float = 0.5,
    longest_wait_s: float = 15.0,
    error: type[YolosweepError] = RunFolderError,
) -> Answer:
    """Return what a call to a storage returns, after an outage of up to ``wait_s`` (None: five minutes).

    Raises:
        FileNotFoundError: there is no such object.
        Conflict: a condition of the call does not hold; never retried.
        OSError: a disk of this machine is full or cannot be written.
        error: the storage refused, or did not answer to the end; with the last cause and the fix.
    """
    wait_s = _WAIT_S if wait_s is None else wait_s
    begun, wait, waited = time.monotonic(), first_wait_s, False
    while True:
        try:
            answer = call()
            break
        except FileNotFoundError:
            raise
        except Refused as cause:
            raise error(f"{place} cannot be used ({cause}); {_FIX}") from cause
        except OSError as cause:
            if cause.errno in _HERE:
                raise
            left = wait_s - (time.monotonic() - begun)
            if left <= 0:
                after = f", for {time.monotonic() - begun:.0f} s" if waited else ""
                said = (str(cause).splitlines() or [type(cause).__name__])[0][:300]
                raise error(f"{place} cannot be used{after} ({said}); {_FIX}") from cause
            time.sleep(min(wait, left))
            wait, waited = min(2 * wait, longest_wait_s), True
    if waited:
        with _lock:
            _notes.append(f"the storage did not answer for {time.monotonic() - begun:.0f} s; nothing was lost")
    return answer


def outages() -> tuple[str, ...]:
    """Return the outages this process waited out since the last call, one sentence each."""
    with _lock:
        told = tuple(_notes)
        _notes.clear()
    return told
