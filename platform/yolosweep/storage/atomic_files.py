"""Files that are whole or not there: atomic writes, hashes, and yolosweep's own cache folder."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from yolosweep.records import FileRef

__all__ = ["Content", "HashingWriter", "cache_folder", "fsync_folder", "sha256_of", "write_atomic"]

_CHUNK = 1 << 20


class HashingWriter:
    """A binary file that is hashed while it is written; it can only be written from start to end.

    A large file is hashed by a second thread, block by block: neither hashing nor writing holds the interpreter.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._digest, self.size = out, hashlib.sha256(), 0
        self._held = bytearray()
        self._hashing: threading.Thread | None = None

    def write(self, block: bytes | memoryview) -> int:
        """Write a block and return its bytes."""
        before = len(self._held)
        self._held += block
        size = len(self._held) - before
        self.size += size
        if len(self._held) >= _CHUNK:
            self._hand_on()
        return size

    def _hand_on(self) -> None:
        block, self._held = self._held, bytearray()
        self._hashed()
        self._hashing = threading.Thread(target=self._digest.update, args=(block,), name="hash")
        self._hashing.start()
        self._out.write(block)

    def _hashed(self) -> None:
        if self._hashing is not None:
            self._hashing.join()

    def flush(self) -> None:
        """Hand everything to the system; what is left is hashed here: small files need no second thread."""
        block, self._held = self._held, bytearray()
        self._hashed()
        self._digest.update(block)
        self._out.write(block)
        self._out.flush()

    @property
    def sha256(self) -> str:
        """Hash of what was flushed, hex."""
        self._hashed()
        return self._digest.hexdigest()


Content = bytes | str | Path | Callable[[HashingWriter], object]
"""What a file is to hold: the bytes, a text (UTF-8), a file to copy, or a function that writes it."""


def cache_folder() -> Path:
    """Return yolosweep's own cache folder (``$XDG_CACHE_HOME/yolosweep``, else ``~/.cache/yolosweep``)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "yolosweep"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: Content) -> FileRef:
    """Write ``content`` to ``path``: temporary name, fsync, rename, fsync the folder.

    Readers see the old file or the new one, never a part.

    Returns:
        The file's hash and size; its ``path`` is the bare name, for the caller to put in place.

    Raises:
        OSError: the file cannot be written; with its name, which the error of a full disk lacks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as out:
            sink = HashingWriter(out)
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, sink, _CHUNK)
            elif callable(content):
                content(sink)
            else:
                sink.write(content.encode() if isinstance(content, str) else content)
            sink.flush()
            os.fsync(out.fileno())
        reference = FileRef(path=path.name, sha256=sink.sha256, size=sink.size)
        draft.replace(path)
    except OSError as error:
        if error.filename or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return reference
