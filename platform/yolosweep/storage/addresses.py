"""Addresses of object storage: which are taken, and what must not stand in one."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["address_fault", "is_address"]

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "file")
"""What pyarrow opens and a run folder can be kept in."""

_SECRETS = ("secret", "key", "token", "password", "sas", "credential")
"""Options of an address with one of these in their name would be recorded with it."""


def is_address(text: str) -> bool:
    """Return whether a place is named by an address instead of a path."""
    return "://" in text


def address_fault(address: str) -> str | None:
    """Return what keeps an address from being the storage of a run, with the way out; None where nothing does."""
    parts = urlsplit(address)
    options = [option.partition("=")[0].lower() for option in parts.query.split("&")]
    is_secret = any(word in option for option in options for word in _SECRETS)
    is_container = parts.scheme in ("abfs", "abfss")  # abfs://container@account…
    if parts.password or is_secret or (parts.username and not is_container):
        return "the address holds credentials, which would be recorded; put them into the environment"
    if parts.scheme not in SCHEMES:
        return (
            f"{parts.scheme}:// cannot hold a run folder; use a folder, or an address such as s3://bucket/sweeps "
            f"({', '.join(SCHEMES[:4])})"
        )
    if not parts.netloc and parts.scheme != "file":
        return "the address names no bucket; write s3://bucket/sweeps"
    return None
