"""A ledger in an object storage: its lines are in segments, of which only the last one grows.

Objects cannot be appended to, so an append replaces the last segment, or begins the next one where that is full.
Either is one conditional write on the version this writer knows (``If-Match``, or create-only), and which of the two
follows from the content alone. So the ledger is a chain of states, each written on top of exactly one other:

- A writer fences before it reads: it adds random blanks to the chain, which JSON ignores. From then on no write of an
  earlier writer can succeed, also one that was checked before and arrives after (cut off, suspended, delayed).
- A line is acknowledged after its conditional write; whatever a later writer reads holds it.
- A write whose answer was lost is recognised by its content, which holds this writer's own fence or line.
- A refused line may arrive all the same. It was not acknowledged, so the next line replaces it, unless it has filled
  its segment: then the next state is a new segment, which a later writer may have begun already.
- Any other conflict means that somebody else has fenced: this writer has lost the run and says so. It never retries.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from yolosweep.errors import RunFolderError
from yolosweep.storage.backend import Version
from yolosweep.storage.lease import taken_over
from yolosweep.storage.objects import Objects
from yolosweep.storage.outage_retry import Conflict

__all__ = ["Segments", "pull"]

FOLDER = "ledger"
_NAME = re.compile(r"ledger/(\d{8})\.jsonl")
_FENCE_BLANKS = 64


class Segments:
    """The end of a ledger, for the one writer that may add to it; fenced when made.

    Args:
        objects: the run's objects.
        check_hold: raises where this process does not hold the run; called after the end was read, before the fence.
        full: bytes from which a segment is left as it is and the next one begun; all writers of a run must agree.

    Raises:
        RunFolderError: the storage cannot be used, or the run is held by somebody else.
    """

    def __init__(self, objects: Objects, check_hold: Callable[[], None], *, full: int = 256 << 10) -> None:
        self._objects, self._full = objects, full
        self._number, self._content = 0, b""
        self._version: Version | None = None
        self._refused: list[bytes] = []
        while True:
            self._read()
            check_hold()
            try:
                return self._write("".join(secrets.choice(" \t") for _ in range(_FENCE_BLANKS)).encode())
            except Conflict:
                continue  # a line of the writer before arrived, which is read now

    def _read(self) -> None:
        found = _numbered(self._objects)
        self._number, self._content, self._version = max(len(found) - 1, 0), b"", None
        if (last := self._objects.read(_name(self._number))) is not None:
            self._content, self._version = last

    def append(self, line: bytes) -> None:
        """Add a line; it is acknowledged when this returns.

        Raises:
            RunFolderError: the storage does not take it, or another process has taken the run over.
        """
        try:
            self._write(line)
        except Conflict:
            raise taken_over(self._objects) from None

    def _write(self, more: bytes) -> None:
        number, content, version = self._number, self._content, self._version
        if len(content) >= self._full:
            number, content, version = number + 1, b"", None
        content += more
        try:
            version = self._put(_name(number), content, version)
        except (RunFolderError, OSError):
            self._refused.append(content)
            raise
        self._number, self._content, self._version, self._refused = number, content, version, []

    def _put(self, name: str, content: bytes, version: Version | None) -> Version:
        try:
            return self._objects.put_if(name, content, version)
        except Conflict:
            found = self._objects.read(name)
            if found is None or found[0] not in self._refused or len(found[0]) >= self._full:
                raise
            return self._objects.put_if(name, content, found[1])


def pull(objects: Objects) -> bytes:
    """Return the whole ledger as the storage has it, empty where there is none.

    Raises:
        RunFolderError: the storage cannot be read, or a segment is missing.
    """
    parts: list[bytes] = []
    for name in _numbered(objects):
        content = objects.get(name)
        if content is None:
            raise RunFolderError(f"{objects.address}: {name} of the ledger was deleted; restore it from a copy")
        parts.append(content)
    return b"".join(parts)


def _name(number: int) -> str:
    return f"{FOLDER}/{number:08d}.jsonl"


def _numbered(objects: Objects) -> list[str]:
    """Return the names of the segments, in order.

    Raises:
        RunFolderError: one is missing.
    """
    found = [one.name for one in objects.stored(FOLDER) if _NAME.fullmatch(one.name)]
    for number, name in enumerate(found):
        if name != _name(number):
            raise RunFolderError(f"{objects.address}: {_name(number)} of the ledger is missing; restore it from a copy")
    return found
