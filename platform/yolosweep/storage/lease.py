"""The hold on a run in an object storage: an object that its holder renews, and that others take over when stale."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

from yolosweep.errors import RunFolderError
from yolosweep.storage.objects import Objects

__all__ = ["Lease", "check_hold", "holder"]

_OWNER, _PROBE = "owner.json", "clock"
_RENEW_S = 15.0
_STALE_S = 60.0
"""Age, by the storage's own clock, from which a holder that does not renew counts as gone."""
_SETTLE_S = 1.0
"""From taking a hold to looking whether somebody else took it at the same moment."""


def holder(objects: Objects) -> dict[str, Any] | None:
    """Return what the holder of a run told of itself, None where nobody holds it."""
    content = objects.get(_OWNER)
    if content is None:
        return None
    try:
        told = json.loads(content)
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {}


class Lease:
    """Holds a run for one process, and renews the hold from a thread until it is released.

    Args:
        objects: the run's objects.
        about: host, pid and start of the process, for others to read.
        gone: token of a holder that is known to be dead; it is taken over at once.

    Raises:
        RunFolderError: somebody else holds the run, or the storage cannot be used.
    """

    def __init__(self, objects: Objects, about: Mapping[str, Any], *, gone: str | None = None) -> None:
        self._objects, self.token = objects, secrets.token_hex(16)
        self._about = json.dumps({**about, "token": self.token}).encode()
        before = holder(objects)
        if before is not None and before.get("token") != gone:
            self._refuse_while_fresh(before)
        objects.put(_OWNER, self._about)
        time.sleep(_SETTLE_S)
        self._refuse_if_taken()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="run-lease", daemon=True)
        self._thread.start()

    def _refuse_while_fresh(self, before: Mapping[str, Any]) -> None:
        since = self._objects.time_ns(_OWNER)
        self._objects.put(_PROBE, b"")
        now = self._objects.time_ns(_PROBE)
        left = _STALE_S if since is None or now is None else _STALE_S - (now - since) / 1e9
        if since is not None and left > 0:
            raise RunFolderError(
                f"{self._objects.address} is in use by {_who(before)}; wait for it or stop it (where it was killed, "
                f"the run is free in {left:.0f} s)"
            )

    def _refuse_if_taken(self) -> None:
        now = holder(self._objects)
        if now is not None and now.get("token") != self.token:
            raise RunFolderError(f"{self._objects.address} is in use by {_who(now)}; wait for it or stop it")

    def _renew(self) -> None:
        while not self._over.wait(_RENEW_S):
            with contextlib.suppress(RunFolderError):  # an outage: whoever writes meets it too, and tells
                now = holder(self._objects)
                if now is None or now.get("token") == self.token:
                    self._objects.put(_OWNER, self._about)

    def release(self) -> None:
        """Let others in."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(RunFolderError):
            if (holder(self._objects) or {}).get("token") == self.token:
                self._objects.delete(_OWNER)
                self._objects.delete(_PROBE)


def check_hold(objects: Objects, token: str) -> None:
    """Refuse to write where another process has taken a run over.

    Raises:
        RunFolderError: it has.
    """
    now = holder(objects)
    if now is not None and now.get("token") != token:
        raise RunFolderError(f"{objects.address} was taken over by {_who(now)}; this process stops")


def _who(told: Mapping[str, Any]) -> str:
    if not {"pid", "host", "since"} <= told.keys():
        return "another process"
    return f"process {told['pid']} on {told['host']} since {told['since']}"
