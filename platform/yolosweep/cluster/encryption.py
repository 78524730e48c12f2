"""Encrypt a submitter's credentials for one job's driver, with HPKE (RFC 9180).

The driver generates an X25519 key pair in memory and prints the public half to the job's log. The submitter encrypts to
it, so the job server, its storage and its logs only ever hold a public key and ciphertext. The job's id is HPKE's
``info``: a message for one job cannot be replayed to another.

Limits: without TLS between submitter and job server, an attacker who can *modify* the traffic (not only read it) can
replace the driver's public key with their own. Such an attacker also holds the cluster's token, which runs any code on
it. Use TLS or a tunnel (``ssh -L``, ``kubectl port-forward``) on networks you do not trust.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite

__all__ = ["Recipient", "public_key_in", "seal", "secrets_of"]

_NAMES = re.compile(
    r"WANDB_(API_KEY|BASE_URL|ENTITY)|MLFLOW_TRACKING_(URI|USERNAME|PASSWORD|TOKEN)|HF_TOKEN|GOOGLE_SERVICE_ACCOUNT_KEY"
    r"|AZURE_(STORAGE_\w+|CLIENT_ID|CLIENT_SECRET|TENANT_ID)"
    r"|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|(DEFAULT_)?REGION|ENDPOINT_URL(_S3)?)"
)
"""Keys of trackers and storages, and the settings they need. Credential files are not sent."""

_FORMAT = "hpke-1"
"""The wire format. Change it with the suite, the ``info`` or the payload, so that a mismatch is refused by name."""
_HEADER = f"yolosweep sealed {_FORMAT}\n".encode()
_KEY_LINE = re.compile(r"yolosweep: public key (?:\((?P<format>[\w-]+)\) )?for (?P<job>\S+): (?P<key>\S+)\s*")
_KEY_BYTES = 32


def secrets_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials in an environment that a sweep can use; never Ray's own token."""
    return {name: value for name, value in environ.items() if value and _NAMES.fullmatch(name)}


class Recipient:
    """The driver's side: a key pair in memory, for one message."""

    def __init__(self, job: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._job, self._private = job, X25519PrivateKey.generate()

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    @property
    def line(self) -> str:
        """The log line that announces the public key."""
        return f"yolosweep: public key ({_FORMAT}) for {self._job}: {base64.b64encode(self.public_key).decode()}"

    def open(self, sealed: bytes) -> dict[str, str]:
        """Return the secrets that were sealed to this recipient.

        Raises:
            ValueError: the message has another format, was sealed to another key or job, or was modified.
        """
        from cryptography.exceptions import InvalidTag

        if not sealed.startswith(_HEADER):
            raise ValueError(
                f"not a sealed message of format {_FORMAT}; submit with the yolosweep version that the job runs"
            )
        try:
            plain = _suite().decrypt(sealed[len(_HEADER) :], self._private, info=_info(self._job))
        except InvalidTag:
            raise ValueError("the message was not sealed to this job, or was modified on the way") from None
        return {str(name): str(value) for name, value in json.loads(plain).items()}


def public_key_in(line: str, job: str) -> bytes | None:
    """Return the public key that a line of a job's log announces; None if it announces none.

    Raises:
        ValueError: the job's driver uses another wire format.
    """
    found = _KEY_LINE.fullmatch(line)
    if found is None or found["job"] != job:
        return None
    if found["format"] != _FORMAT:
        raise ValueError(
            f"{job} asks for credentials in another format ({found['format'] or 'of an older yolosweep'}, here "
            f"{_FORMAT}); submit with the yolosweep version that the job runs"
        )
    try:
        key = base64.b64decode(found["key"], validate=True)
    except ValueError:
        return None
    return key if len(key) == _KEY_BYTES else None


def seal(secrets: Mapping[str, str], public_key: bytes, job: str) -> bytes:
    """Return the secrets encrypted for one recipient and one job.

    Raises:
        ValueError: the public key is not valid.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    recipient = X25519PublicKey.from_public_bytes(public_key)
    return _HEADER + _suite().encrypt(json.dumps(dict(secrets)).encode(), recipient, info=_info(job))


def _suite() -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _info(job: str) -> bytes:
    return f"yolosweep credentials {_FORMAT}\0{job}".encode()
