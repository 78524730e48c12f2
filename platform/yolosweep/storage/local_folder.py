"""A folder of a file system behind ``file://``.

A conditional write holds a lock of the file system from the comparison to the rename, so a process that is suspended
in between keeps others out instead of overwriting what they wrote.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from yolosweep.storage.atomic_files import write_atomic
from yolosweep.storage.backend import CHUNK, Stored, Version
from yolosweep.storage.outage_retry import Conflict

__all__ = ["Local"]

_LOCK = ".yolosweep.lock"


class Local:
    """The :class:`~yolosweep.storage.backend.Backend` of a folder."""

    def __init__(self, folder: Path, *, locked_s: float = 10.0) -> None:
        self._folder, self._locked_s = folder, locked_s

    def put(self, name: str, content: bytes | Path) -> None:
        """Store an object, or replace it."""
        write_atomic(self._folder / name, content)

    def put_if(self, name: str, content: bytes, version: Version | None) -> Version:
        """Store an object if it still is ``version``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / _LOCK, timeout=self._locked_s):
            try:
                now: Version | None = self.get(name)[1]
            except FileNotFoundError:
                now = None
            if now != version:
                raise Conflict(name)
            self.put(name, content)
        return _version(content)

    def get(self, name: str) -> tuple[bytes, Version]:
        """Return content and version of an object."""
        content = (self._folder / name).read_bytes()
        return content, _version(content)

    def stream(self, name: str, begin: int = 0) -> Iterator[bytes]:
        """Yield the content of an object from a byte on."""
        with (self._folder / name).open("rb") as source:
            source.seek(begin)
            while block := source.read(CHUNK):
                yield block

    def head(self, name: str) -> Stored:
        """Return size and time of an object."""
        path = self._folder / name
        if not path.is_file():
            raise FileNotFoundError(name)
        return Stored(name, path.stat().st_size, path.stat().st_mtime_ns)

    def stored(self, below: str) -> list[Stored]:
        """Return all objects below a folder."""
        found = []
        for folder, _, names in os.walk(self._folder / below):
            inside = Path(folder).relative_to(self._folder)
            for name in names:
                path = (inside / name).as_posix()
                is_draft = name.startswith(".") and name.endswith(".tmp")
                if name != _LOCK and not is_draft and (self._folder / path).is_file():
                    found.append(self.head(path))
        return found

    def folders(self) -> list[str]:
        """Return the names of the folders right below."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if path.is_dir()]

    def delete(self, name: str) -> None:
        """Delete an object."""
        (self._folder / name).unlink()


def _version(content: bytes) -> Version:
    return {"e_tag": hashlib.sha256(content).hexdigest()}
