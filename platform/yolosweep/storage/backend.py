"""What a storage can do: the one interface that local folders and buckets implement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = ["CHUNK", "Backend", "Stored", "Version"]

CHUNK = 8 << 20

Version = Mapping[str, str]
"""Identifies the content of an object (``e_tag``, in some storages ``version``), for conditional writes."""


class Stored(NamedTuple):
    """An object as the storage lists it."""

    name: str
    """Relative to the folder, with forward slashes."""
    size: int
    time_ns: int
    """When it was stored, by the storage's own clock."""


class Backend(Protocol):
    """The objects below one folder of a storage. An object appears whole or not at all.

    Calls are not retried here. An outage is an ``OSError``; a call that would fail again is
    :class:`~yolosweep.storage.outage_retry.Refused`; an object that does not exist is a ``FileNotFoundError``.
    """

    def put(self, name: str, content: bytes | Path) -> None:
        """Store an object, or replace it."""

    def put_if(self, name: str, content: bytes, version: Version | None) -> Version:
        """Store an object if it still is ``version`` (None: if there is none) and return the new version.

        Raises:
            Conflict: it is not; nothing was written.
        """

    def get(self, name: str) -> tuple[bytes, Version]:
        """Return content and version of an object."""

    def stream(self, name: str, begin: int = 0) -> Iterator[bytes]:
        """Yield the content of an object from a byte on."""

    def head(self, name: str) -> Stored:
        """Return size and time of an object."""

    def stored(self, below: str) -> list[Stored]:
        """Return all objects below a folder, however deep; none where there is no such folder."""

    def folders(self) -> list[str]:
        """Return the names of the folders right below."""

    def delete(self, name: str) -> None:
        """Delete an object."""
