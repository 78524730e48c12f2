"""The run folder: every path in one class, an append-only journal and the lock.

The ledger is the truth of a sweep. Everything else (W&B, the report, Ray's own state) is a mirror that can be rebuilt
from it. A line is acknowledged only after ``fsync``; a torn last line (a crash while writing) is dropped by the reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from yolosweep.durable import Content, fsync_folder, write_atomic
from yolosweep.errors import RunFolderError
from yolosweep.records import SCHEMA_VERSION, FileRef

__all__ = ["Ledger", "RunFolder", "Tail", "read_events"]


_WRITER_GONE_S = 60.0
"""How long a new writer waits for the last one: the desk of a killed driver lives for a few seconds more."""


class RunFolder:
    """All paths of one sweep. Nothing else in the package spells a file name inside a run folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().absolute()

    @classmethod
    def create(cls, storage: Path | str, name: str) -> RunFolder:
        """Make a new folder ``<name>-<UTC time>-<4 hex digits>`` that no other sweep has.

        Raises:
            RunFolderError: the storage cannot be written.
        """
        base = Path(storage).expanduser().absolute()
        try:
            base.mkdir(parents=True, exist_ok=True)
            while True:
                stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
                folder = base / f"{name}-{stamp}-{secrets.token_hex(2)}"
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                    return cls(folder)
        except OSError as error:
            raise RunFolderError(
                f"storage: cannot write to {base} ({error.strerror}); choose another folder, e.g. storage=./runs"
            ) from error

    @classmethod
    def open(cls, root: Path | str) -> RunFolder:
        """Return an existing run folder.

        Raises:
            RunFolderError: there is no ledger in it.
        """
        folder = cls(root)
        if not folder.ledger.is_file():
            raise RunFolderError(
                f"{folder.root} is not a run folder: it has no ledger.jsonl; `yolosweep ls` lists them"
            )
        return folder

    @property
    def sweep(self) -> str:
        """The sweep's identifier: the folder's name when it was made (a copy keeps it inside the ledger)."""
        return self.root.name

    @property
    def ledger(self) -> Path:
        """The journal, JSON lines."""
        return self.root / "ledger.jsonl"

    @property
    def experiment(self) -> Path:
        """The resolved experiment, YAML."""
        return self.root / "experiment.yaml"

    @property
    def dataset(self) -> Path:
        """Folder of the prepared view of the data (resolved data.yaml, manifest.json)."""
        return self.root / "data"

    @property
    def winner(self) -> Path:
        """The winner's bundle."""
        return self.root / "winner"

    @property
    def report(self) -> Path:
        """The report, one self-contained page."""
        return self.root / "report.html"

    @property
    def mirror(self) -> Path:
        """Folder for what the W&B mirror remembers; losing it costs nothing but time."""
        return self.root / "mirror"

    def model(self, name: str) -> Path:
        """Place of the copy of the model file that every trial starts from."""
        return self.root / "model" / name

    def trial(self, trial: str) -> Path:
        """Folder of one trial's files."""
        return self.root / "trials" / trial

    def checkpoint(self, trial: str, name: str) -> Path:
        """Place of one file a running trial can go on from."""
        return self.trial(trial) / "checkpoints" / name

    def stacks(self, trial: str, attempt: int) -> Path:
        """Where a training that stands still leaves the stacks of its threads."""
        return self.trial(trial) / f"stacks-a{attempt:02d}.txt"

    def publish(self, content: Content, target: Path) -> FileRef:
        """Write a file of the run folder atomically (a path is copied) and return its reference."""
        reference = write_atomic(target, content)
        return reference.model_copy(update={"path": target.relative_to(self.root).as_posix()})

    def resolve(self, reference: FileRef) -> Path:
        """Return where a referenced file is now (the run folder may have been moved or copied).

        Raises:
            RunFolderError: the reference leads out of the run folder.
        """
        path = (self.root / reference.path).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise RunFolderError(f"{self.ledger}: the file {reference.path!r} lies outside of the run folder")
        return path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for writing.

        Raises:
            RunFolderError: somebody else holds it; the message says who.
        """
        lock = FileLock(self.root / ".lock")
        owner = self.root / ".owner.json"
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunFolderError(
                f"{self.root} is in use by {_describe_owner(owner)}; wait for it or stop it"
            ) from error
        try:
            write_atomic(owner, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": _now()}))
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()


def _describe_owner(owner: Path) -> str:
    try:
        told = json.loads(owner.read_text())
        return f"process {told['pid']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Ledger:
    """The single writer of a run folder's journal."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = FileLock(folder.root / ".ledger.lock", thread_local=False)
        try:
            self._lock.acquire(timeout=_WRITER_GONE_S)
        except Timeout as error:
            raise RunFolderError(
                f"{folder.ledger} is still written by a process of an earlier run; end it, then try again"
            ) from error
        _cut_torn_tail(folder.ledger)
        self._seq = sum(1 for _ in read_events(folder.ledger))
        # Unbuffered: after a failed write nothing may stay behind that a later write would put in front of its line.
        self._stream = folder.ledger.open("ab", buffering=0)
        fsync_folder(folder.root)

    def append(self, event: str, **payload: Any) -> dict[str, Any]:
        """Write one event and return it once it is on disk.

        Raises:
            RunFolderError: the disk is full or the storage is gone; nothing half-written counts.
        """
        if not self._is_in_place():  # the open file would still take every line
            raise RunFolderError(f"{self._folder.ledger} is gone: it was moved, or its storage was; put it back")
        line = {"v": SCHEMA_VERSION, "seq": self._seq, "at": _now(), "event": event, **payload}
        content = json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        whole = os.fstat(self._stream.fileno()).st_size
        try:
            while content:
                content = content[self._stream.write(content) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._stream.truncate(whole)
            raise RunFolderError(
                f"cannot write {self._folder.ledger}: {error.strerror}; free space, then go on"
            ) from error
        self._seq += 1
        return line

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
    """Drop a last line without a line feed: it was never acknowledged, and appending to it would damage two."""
    if not path.exists():
        return
    with path.open("rb+") as stream:
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            stream.truncate(whole)
            os.fsync(stream.fileno())


class Tail:
    """A journal that may still be written, read piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._line = path, 0, 0

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the whole events since the last call, oldest first; nothing while the journal does not exist.

        Raises:
            RunFolderError: a line is damaged, or a newer version of yolosweep wrote it.
        """
        if not self._path.exists() or self._path.stat().st_size <= self._offset:
            return
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._offset, self._line = self._offset + len(line), self._line + 1
                yield _event(line, f"{self._path} line {self._line}")


def _event(line: bytes, where: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
        newer = event["v"] > SCHEMA_VERSION
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{where} is damaged; restore the file from a copy") from error
    if newer:
        raise RunFolderError(f"{where} was written by a newer yolosweep (schema {event['v']}); upgrade it")
    return event


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield all events of a journal, as :meth:`Tail.read` does."""
    return Tail(path).read()
