"""Credentials handed from the submitter to the driver of a running job; see :mod:`yolosweep.cluster.encryption`.

The driver prints a public key; the submitter, who follows the log, seals the credentials to it and stores the sealed
bytes on the head; the driver fetches them, deletes them there and opens them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping

from yolosweep.cluster.encryption import Recipient, public_key_in, seal
from yolosweep.cluster.jobs import JobServer

__all__ = ["SecretSender", "receive"]

_PATIENCE_S = 20.0
_POLL_S = 0.2


def _name(public_key: bytes) -> str:
    """Return the name under which sealed bytes wait; the server takes names of archives only."""
    return f"yolosweep_sealed_{hashlib.sha256(public_key).hexdigest()[:32]}.zip"


def receive(job: str, address: str, tell: Callable[[str], None], *, timeout_s: float = _PATIENCE_S) -> dict[str, str]:
    """Ask the submitter for credentials and return them; nothing arriving in time is told and is no error.

    Args:
        job: the id of this job.
        address: of the cluster's GCS (``RAY_ADDRESS`` inside a job).
        tell: prints a line to the job's log.
        timeout_s: how long to wait.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    lock = Recipient(job)
    tell(lock.line)
    key = public_key_in(lock.line, job)
    assert key is not None, "a lock's line carries its key"
    store, place = GcsClient(address=address), f"gcs://{_name(key)}".encode()
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        sealed = store.internal_kv_get(place, None)
        if sealed:
            store.internal_kv_del(place, False, None)
            try:
                return lock.open(sealed)
            except ValueError as error:
                tell(f"warning: credentials of the submitter were not taken: {error}")
                return {}
        time.sleep(_POLL_S)
    tell(
        f"warning: no credentials arrived from the submitter within {timeout_s:.0f} s; "
        "going on with what this node's environment holds"
    )
    return {}


class SecretSender:
    """The submitter's side: watches the lines of a log for the driver's key, and delivers once."""

    def __init__(self, server: JobServer, job: str, secrets: Mapping[str, str]) -> None:
        self._server, self._job, self._secrets = server, job, secrets
        self.delivered = False

    def takes(self, line: str) -> bool:
        """Return whether a line is the driver's key; then the secrets are on their way.

        Raises:
            ClusterError: the server did not take them.
        """
        key = public_key_in(line, self._job)
        if key is None:
            return False
        if self._secrets and not self.delivered:
            self._server.put(_name(key), seal(self._secrets, key, self._job))
            self.delivered = True
        return True
