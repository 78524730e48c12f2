"""The journal of a run: append-only JSON lines with a single writer.

The ledger is the truth of a sweep. Everything else (W&B, the report, Ray's own state) is a mirror that can be rebuilt
from it. A line is acknowledged only after ``fsync``; a torn last line (a crash while writing) is dropped by the reader.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from yolosweep.errors import RunFolderError
from yolosweep.ledger.run_folder import RunFolder
from yolosweep.records import SCHEMA_VERSION
from yolosweep.records.events import Event, event_of_json
from yolosweep.storage import Segments
from yolosweep.storage.atomic_files import fsync_folder

__all__ = ["Ledger", "Tail", "read_events"]


_WRITER_GONE_S = 60.0
"""How long a new writer waits for the last one: the controller of a killed driver lives for a few seconds more."""

_LONGEST = 64 << 20
"""Bytes of a line; the longest in use, the start of a sweep on a data set with many findings, takes 1 MiB."""


class Ledger:
    """The single writer of a run folder's journal."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = FileLock(folder.writer_lock, thread_local=False)
        try:
            self._lock.acquire(timeout=_WRITER_GONE_S)
        except Timeout as error:
            raise RunFolderError(
                f"{folder.ledger} is still written by a process of an earlier run; end it, then try again"
            ) from error
        try:
            # Fenced before it is read: what an earlier writer sends from now on is refused.
            self._segments = None if folder.objects is None else Segments(folder.objects, folder.check_hold)
            folder.take_ledger()
            _cut_torn_tail(folder.ledger)
            self._seq = sum(1 for _ in read_events(folder.ledger))
        except BaseException:
            self._lock.release()
            raise
        # Unbuffered: after a failed write nothing may stay behind that a later write would put in front of its line.
        self._stream = folder.ledger.open("ab", buffering=0)
        fsync_folder(folder.root)

    def append(self, event: Event) -> Event:
        """Write one event and return it as a reader finds it, once it is on disk.

        Raises:
            RunFolderError: the disk is full, the storage is gone, or another machine has taken the run over; nothing
                half-written counts.
        """
        if not self._is_in_place():  # the open file would still take every line
            raise RunFolderError(f"{self._folder.ledger} is gone: it was moved, or its storage was; put it back")
        content = event.line(self._seq)
        whole, left = os.fstat(self._stream.fileno()).st_size, content
        try:
            while left:
                left = left[self._stream.write(left) :]
            os.fsync(self._stream.fileno())
            if self._segments is not None:  # acknowledged is what the object storage has
                self._segments.append(content)
        except RunFolderError:
            with contextlib.suppress(OSError):
                self._stream.truncate(whole)
            raise
        except OSError as error:
            with contextlib.suppress(OSError):
                self._stream.truncate(whole)
            raise RunFolderError(
                f"cannot write {self._folder.ledger}: {error.strerror}; free space, then resume"
            ) from error
        self._seq += 1
        return event_of_json(content)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self._folder.ledger.stat(), os.fstat(self._stream.fileno()))
        except OSError:
            return False

    def close(self) -> None:
        """Close the journal and let another writer in."""
        self._stream.close()
        self._lock.release()


def _cut_torn_tail(path: Path) -> None:
    """Drop a last line without a line feed: it was never acknowledged, and appending to it would damage two.

    Blanks stay: they are a fence in an object storage (:mod:`yolosweep.storage.ledger_segments`).
    """
    if not path.exists():
        return
    with path.open("rb+") as stream:
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        if content[whole:].strip(b" \t"):
            stream.truncate(whole)
            os.fsync(stream.fileno())


class Tail:
    """A journal that may still be written, read piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._line = path, 0, 0

    def read(self) -> Iterator[Event]:
        """Yield the whole events since the last call, oldest first; nothing while the journal does not exist.

        Raises:
            RunFolderError: a line is damaged, or a newer version of yolosweep wrote it.
        """
        if not self._path.exists() or self._path.stat().st_size <= self._offset:
            return
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            while line := stream.readline(_LONGEST):
                if not line.endswith(b"\n"):
                    if len(line) == _LONGEST:
                        raise RunFolderError(f"{self._path} line {self._line + 1} is damaged: it is too long")
                    return
                self._offset, self._line = self._offset + len(line), self._line + 1
                yield _event(line, f"{self._path} line {self._line}")


def _event(line: bytes, where: str) -> Event:
    try:
        event = event_of_json(line)
    except ValueError as error:
        raise RunFolderError(f"{where} is damaged; restore the file from a copy") from error
    if event.v > SCHEMA_VERSION:
        raise RunFolderError(f"{where} was written by a newer yolosweep (schema {event.v}); upgrade it")
    return event


def read_events(path: Path) -> Iterator[Event]:
    """Yield all events of a journal, as :meth:`Tail.read` does."""
    return Tail(path).read()
