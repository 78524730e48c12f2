"""Files that are whole or not there: atomic writes, hashes, and yolosweep's own cache folder."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from yolosweep.records import FileRef

__all__ = ["cache_folder", "fsync_folder", "sha256_of", "write_atomic"]

_CHUNK = 1 << 20


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


def write_atomic(path: Path, content: bytes | str | Path) -> FileRef:
    """Write ``content`` (or copy the file it names) to ``path``: temporary name, fsync, rename, fsync the folder.

    Readers see the old file or the new one, never a part.

    Returns:
        The file's hash and size; its ``path`` is the bare name, for the caller to put in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as out:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, out, _CHUNK)
            else:
                out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        reference = FileRef(path=path.name, sha256=sha256_of(draft), size=draft.stat().st_size)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return reference
