"""A ledger in an object storage: objects cannot be appended to, so its lines lie in segments, the last written anew."""

from __future__ import annotations

import re

from yolosweep.errors import RunFolderError
from yolosweep.storage.objects import Objects

__all__ = ["Segments", "pull"]

FOLDER = "ledger"
_NAME = re.compile(r"ledger/(\d{8})\.jsonl")
_FULL = 256 << 10
"""Bytes from which a segment is left as it is and the next one begun."""


class Segments:
    """Where the next line of a ledger goes; made from what the storage holds."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        found = _numbered(objects)
        self._number = max(len(found) - 1, 0)
        self._begin = sum(size for _, size in found[:-1])
        self._end = sum(size for _, size in found)

    def begin(self) -> int:
        """Return at which byte of the whole ledger the segment begins that takes the next line."""
        if self._end - self._begin >= _FULL:
            self._number, self._begin = self._number + 1, self._end
        return self._begin

    def put(self, content: bytes) -> None:
        """Store the segment that begins at :meth:`begin`, whole.

        Raises:
            RunFolderError: the storage does not take it.
        """
        self._objects.put(_name(self._number), content)
        self._end = self._begin + len(content)


def pull(objects: Objects) -> bytes:
    """Return the whole ledger as the storage has it, empty where there is none.

    Raises:
        RunFolderError: the storage cannot be read, or a segment is missing.
    """
    parts: list[bytes] = []
    for name, _ in _numbered(objects):
        content = objects.get(name)
        if content is None:
            raise RunFolderError(f"{objects.address}: {name} of the ledger was deleted; restore it from a copy")
        parts.append(content)
    return b"".join(parts)


def _name(number: int) -> str:
    return f"{FOLDER}/{number:08d}.jsonl"


def _numbered(objects: Objects) -> list[tuple[str, int]]:
    """Return names and sizes of the segments, in order.

    Raises:
        RunFolderError: one is missing.
    """
    found = [(one.name, one.size) for one in objects.stored(FOLDER) if _NAME.fullmatch(one.name)]
    for number, (name, _) in enumerate(found):
        if name != _name(number):
            raise RunFolderError(f"{objects.address}: {_name(number)} of the ledger is missing; restore it from a copy")
    return found
