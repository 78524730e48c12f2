"""Deliver sealed credentials from the submitter to a running job's driver; see :mod:`yolosweep.cluster.encryption`.

The driver prints a public key. The submitter, who follows the log, seals the credentials to it and stores the sealed
bytes on the cluster's head. The driver fetches them, deletes them there and opens them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping

from yolosweep.cluster.encryption import Recipient, public_key_in, seal
from yolosweep.cluster.jobs import JobServer
from yolosweep.errors import ClusterError

__all__ = ["SecretSender", "receive"]

_TIMEOUT_S = 20.0
_POLL_S = 0.2


def _name(public_key: bytes) -> str:
    """Return the name of the sealed bytes on the head; the job server accepts archive names only."""
    return f"yolosweep_sealed_{hashlib.sha256(public_key).hexdigest()[:32]}.zip"


def receive(job: str, address: str, log: Callable[[str], None], *, timeout_s: float = _TIMEOUT_S) -> dict[str, str]:
    """Request credentials from the submitter and return them; a timeout is logged and returns none.

    Args:
        job: the id of this job.
        address: of the cluster's GCS (``RAY_ADDRESS`` inside a job).
        log: prints a line to the job's log.
        timeout_s: how long to wait.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    recipient = Recipient(job)
    log(recipient.line)
    store, key = GcsClient(address=address), f"gcs://{_name(recipient.public_key)}".encode()
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        sealed = store.internal_kv_get(key, None)
        if sealed:
            store.internal_kv_del(key, False, None)
            try:
                return recipient.open(sealed)
            except ValueError as error:
                log(f"warning: the submitter's credentials were refused: {error}")
                return {}
        time.sleep(_POLL_S)
    log(
        f"warning: no credentials arrived from the submitter within {timeout_s:.0f} s; "
        "continuing with those in this node's environment"
    )
    return {}


class SecretSender:
    """The submitter's side: watches the log for the driver's public key and delivers once."""

    def __init__(self, server: JobServer, job: str, secrets: Mapping[str, str]) -> None:
        self._server, self._job, self._secrets = server, job, secrets
        self.delivered = False

    def handles(self, line: str) -> bool:
        """Return whether a line announces the driver's key; if it does, the secrets are sent.

        Raises:
            ClusterError: the driver uses another wire format, or the server refused the message.
        """
        try:
            key = public_key_in(line, self._job)
            if key is None:
                return False
            if self._secrets and not self.delivered:
                self._server.put(_name(key), seal(self._secrets, key, self._job))
                self.delivered = True
        except ValueError as error:
            raise ClusterError(str(error)) from error
        return True
