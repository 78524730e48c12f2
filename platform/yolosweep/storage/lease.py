"""The hold on a run in an object storage: an object that its holder renews, and that others take over when stale.

Every write is conditional on the version last seen, and every content differs (token, number of the renewal). So of
two that begin at once, or take over at once, one gets the hold; a renewal that arrives late changes nothing; and a
holder that was cut off or suspended learns from its next renewal that it has lost the hold. Who finds a hold waits for
its next renewal, which proves that the holder lives, or until it is stale.

The hold keeps people from starting a run twice. That no acknowledged line is lost does not depend on it, but on the
conditional writes of :mod:`yolosweep.storage.ledger_segments`: a takeover is always safe, so a hold is stale soon.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

from yolosweep.errors import RunFolderError
from yolosweep.storage.backend import Version
from yolosweep.storage.objects import Objects
from yolosweep.storage.outage_retry import Conflict

__all__ = ["Lease", "check_hold", "taken_over"]

_OWNER, _PROBE = "owner.json", "clock"
_LOOK_S = 1.0


class Lease:
    """Holds a run for one process, and renews the hold from a thread until it is released.

    Args:
        objects: the run's objects.
        about: host, pid and start of the process, for others to read.
        gone: token of a holder that is known to be dead; it is taken over at once.
        renew_s: seconds between renewals.
        stale_s: age, by the storage's own clock, from which a holder that does not renew counts as gone.

    Raises:
        RunFolderError: somebody else holds the run, or the storage cannot be used.
    """

    def __init__(
        self,
        objects: Objects,
        about: Mapping[str, Any],
        *,
        gone: str | None = None,
        renew_s: float = 5.0,
        stale_s: float = 20.0,
    ) -> None:
        self._objects, self.token = objects, secrets.token_hex(16)
        self._about, self._renewals, self._renew_s = {**about, "token": self.token}, 0, renew_s
        self._version: Version = self._acquired(gone, stale_s)
        self._require_conditions()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="run-lease", daemon=True)
        self._thread.start()

    def _content(self) -> bytes:
        return json.dumps({**self._about, "renewals": self._renewals}).encode()

    def _acquired(self, gone: str | None, stale_s: float) -> Version:
        found = self._objects.read(_OWNER)
        if found is not None and _parsed(found[0]).get("token") != gone:
            found = self._gone(found, stale_s)
        try:
            return self._objects.put_if(_OWNER, self._content(), None if found is None else found[1])
        except Conflict:
            raise self._in_use() from None

    def _gone(self, found: tuple[bytes, Version], stale_s: float) -> tuple[bytes, Version] | None:
        """Return the hold that was found once it is stale, or None once it was released.

        Raises:
            RunFolderError: it was renewed.
        """
        end = time.monotonic() + stale_s - self._age_s()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_S))
            now = self._objects.read(_OWNER)
            if now is None:
                return None
            if now[1] != found[1]:
                raise self._in_use()
        return found

    def _age_s(self) -> float:
        """Return how long ago the hold was renewed, by the storage's own clock."""
        since = self._objects.head(_OWNER)
        self._objects.put(_PROBE, b"")
        now = self._objects.head(_PROBE)
        return 0.0 if since is None or now is None else (now.time_ns - since.time_ns) / 1e9

    def _in_use(self) -> RunFolderError:
        return RunFolderError(f"{self._objects.address} is in use by {_holder(self._objects)}; wait for it or stop it")

    def _require_conditions(self) -> None:
        """Refuse a storage that writes although the condition does not hold."""
        first = self._version
        self._renew_once()
        self._renewals += 1
        try:
            self._objects.put_if(_OWNER, self._content(), first)
        except Conflict:
            return
        self._objects.delete(_OWNER)
        raise RunFolderError(
            f"storage: {self._objects.address} ignores conditional writes (If-Match), without which two machines could "
            "overwrite each other's results; use a newer release of that storage, or another one"
        )

    def _renew_once(self) -> bool:
        """Renew the hold; return whether it is still ours."""
        self._renewals += 1
        try:
            self._version = self._objects.put_if(_OWNER, self._content(), self._version)
        except Conflict:
            found = self._objects.read(_OWNER)
            if found is None or _parsed(found[0]).get("token") != self.token:
                return False
            self._version = found[1]  # an earlier renewal of ours, whose answer was lost
        return True

    def _renew(self) -> None:
        while not self._over.wait(self._renew_s):
            with contextlib.suppress(RunFolderError, OSError):  # an outage: who writes the ledger meets it, and says so
                if not self._renew_once():
                    return

    def release(self) -> None:
        """Let others in."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(RunFolderError):
            if _parsed(self._objects.get(_OWNER) or b"").get("token") == self.token:
                self._objects.delete(_OWNER)
                self._objects.delete(_PROBE)


def check_hold(objects: Objects, token: str) -> None:
    """Refuse to write where another process has taken a run over.

    Raises:
        RunFolderError: it has.
    """
    content = objects.get(_OWNER)
    if content is not None and _parsed(content).get("token") != token:
        raise taken_over(objects)


def taken_over(objects: Objects) -> RunFolderError:
    """Return the error of a process that is no longer the one that writes a run."""
    return RunFolderError(f"{objects.address} was taken over by {_holder(objects)}; this process stops")


def _holder(objects: Objects) -> str:
    return _who(_parsed(objects.get(_OWNER) or b""))


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _who(holder: Mapping[str, Any]) -> str:
    if not {"pid", "host", "since"} <= holder.keys():
        return "another process"
    return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
