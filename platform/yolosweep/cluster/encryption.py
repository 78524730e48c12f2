"""Secrets on their way from a submitter to a job's driver: sealed to a key that exists in that process alone.

A sealed box after the manner of ECIES (RFC 5869 for the key, RFC 8439 for the cipher): the driver makes an X25519 key
pair, its public half goes the other way in the open, and what is sealed to it can be opened by that process alone.
So job server, its storage, its logs and whoever reads them see a public key and ciphertext.

What remains: without TLS between submitter and job server, somebody who can *change* the traffic (not only read it)
can put a public key of their own in place of the driver's. They also hold the cluster's token then, which runs any
code on it. Put TLS or a tunnel (``ssh -L``, ``kubectl port-forward``) in between where the network is not trusted.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

__all__ = ["Recipient", "public_key_in", "seal", "secrets_of"]

_NAMES = re.compile(
    r"WANDB_(API_KEY|BASE_URL|ENTITY)|HF_TOKEN|GOOGLE_SERVICE_ACCOUNT_KEY"
    r"|AZURE_(STORAGE_\w+|CLIENT_ID|CLIENT_SECRET|TENANT_ID)"
    r"|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|(DEFAULT_)?REGION|ENDPOINT_URL(_S3)?)"
)
"""Keys of trackers and storages, and what belongs to them. Files of credentials stay where they are."""

_LINE = "yolosweep: public key for {job}: {key}"
_KEY_BYTES = 32
_NONCE = bytes(12)
"""A key seals one message and is never used again, so its nonce may stand still."""


def secrets_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials in an environment that a sweep can make use of; never Ray's own token."""
    return {name: value for name, value in environ.items() if value and _NAMES.fullmatch(name)}


class Recipient:
    """The driver's side: a key pair in memory, for one message."""

    def __init__(self, job: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._job, self._private = job, X25519PrivateKey.generate()

    @property
    def line(self) -> str:
        """The line of the log that carries the public key."""
        return _LINE.format(job=self._job, key=base64.b64encode(_raw(self._private.public_key())).decode())

    def open(self, sealed: bytes) -> dict[str, str]:
        """Return the secrets that were sealed to this lock.

        Raises:
            ValueError: it was sealed to another one, for another job, or changed on the way.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        if len(sealed) <= _KEY_BYTES:
            raise ValueError("what arrived is no sealed message")
        sender = X25519PublicKey.from_public_bytes(sealed[:_KEY_BYTES])
        cipher = _cipher(self._private, sender, sealed[:_KEY_BYTES], _raw(self._private.public_key()), self._job)
        try:
            plain = cipher.decrypt(_NONCE, sealed[_KEY_BYTES:], self._job.encode())
        except InvalidTag:
            raise ValueError("what arrived was not sealed to this job, or was changed on the way") from None
        told = json.loads(plain)
        return {str(name): str(value) for name, value in told.items()}


def public_key_in(line: str, job: str) -> bytes | None:
    """Return the public key that a line of a job's log carries; None where it carries none."""
    start = _LINE.format(job=job, key="")
    if not line.startswith(start):
        return None
    try:
        key = base64.b64decode(line[len(start) :].strip(), validate=True)
    except ValueError:
        return None
    return key if len(key) == _KEY_BYTES else None


def seal(secrets: Mapping[str, str], public_key: bytes, job: str) -> bytes:
    """Return the secrets as bytes that the holder of the private key can open, for this job alone."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    private = X25519PrivateKey.generate()
    mine = _raw(private.public_key())
    cipher = _cipher(private, X25519PublicKey.from_public_bytes(public_key), mine, public_key, job)
    return mine + cipher.encrypt(_NONCE, json.dumps(dict(secrets)).encode(), job.encode())


def _cipher(
    private: X25519PrivateKey, public: X25519PublicKey, sender: bytes, receiver: bytes, job: str
) -> ChaCha20Poly1305:
    """Return the cipher both sides come to; both public keys and the job are part of its key."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b"yolosweep secrets 1" + sender + receiver + job.encode()
    return ChaCha20Poly1305(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(private.exchange(public)))


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes_raw()
