"""Data in object storage (``s3://``, ``gs://``, ``file://``…), staged once per machine into our own cache folder.

What was staged is addressed by the listing of the storage (names, sizes, times), so changed data are other data. An
interrupted copy goes on where it stopped, whoever asks again; processes that ask at once wait for one of them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from filelock import FileLock

from yolosweep.errors import DataError
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["is_remote", "staged"]

_CHUNK = 8 << 20
_AT_ONCE = 8
_MOST_FILES = 5_000_000
_YAML = (".yaml", ".yml")


class _Remote(NamedTuple):
    """One file in the storage."""

    name: str
    """Relative to what is staged, with forward slashes."""
    path: str
    size: int
    time_ns: int


def is_remote(source: str) -> bool:
    """Return whether data are named by an address instead of a path."""
    return "://" in source


def staged(address: str, tell: Callable[[int, int], None] | None = None) -> Path:
    """Return where data of an object storage are on this machine, copying what is not here yet.

    Args:
        address: of a folder, of a data.yaml (its folder is staged) or of an archive. Credentials come from the
            environment, as pyarrow's file systems take them.
        tell: called with the number of bytes copied, and of all.

    Returns:
        The folder, the data.yaml in it, or the archive.

    Raises:
        DataError: there is nothing, it cannot be read, or the disk has no room; what was copied is kept.
    """
    _refuse_secrets(address)
    storage, place = _storage(address)
    try:
        single = storage.get_file_info(place).is_file and not place.endswith(_YAML)
        folder = place.rpartition("/")[0] if single or place.endswith(_YAML) else place
        files = [_remote(storage.get_file_info(place), folder)] if single else _listing(storage, folder)
    except OSError as error:
        raise DataError(_unread(address, error)) from error
    if not files:
        raise DataError(f"data: there is nothing at {address}; name a folder, a data.yaml or an archive")
    key = hashlib.sha256(json.dumps([address, sorted(files)]).encode()).hexdigest()[:40]
    target = cache_folder() / "staged" / key
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            _copy(storage, files, target, address, tell)
    return target if folder == place else target / PurePosixPath(place).name


def _refuse_secrets(address: str) -> None:
    parts = urlsplit(address)
    if parts.username or parts.password or "secret" in parts.query.lower():
        raise DataError("data: the address holds credentials, which would be recorded; put them into the environment")


def _storage(address: str) -> tuple[Any, str]:
    """Return pyarrow's file system for an address, and the path in it."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem

    scheme = urlsplit(address).scheme
    if scheme in ("http", "https", "ftp"):
        raise DataError(
            f"data: {address} is not fetched: whoever answers there decides what is trained on; "
            "download it, check it, and name the file"
        )
    try:
        storage, place = FileSystem.from_uri(address)
    except (ArrowInvalid, OSError, ValueError) as error:
        raise DataError(_unread(address, error)) from error
    return storage, str(place).rstrip("/")


def _listing(storage: Any, folder: str) -> list[_Remote]:
    from pyarrow.fs import FileSelector

    found = storage.get_file_info(FileSelector(folder, recursive=True))
    return [_remote(info, folder) for info in found[:_MOST_FILES] if info.is_file]


def _remote(info: Any, folder: str) -> _Remote:
    """Return a file of the storage.

    Raises:
        DataError: its name would lead out of the folder.
    """
    name = str(info.path)[len(folder) :].lstrip("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise DataError(f"data: the storage holds a file with the name {name!r}, which leads elsewhere; rename it")
    return _Remote(name, str(info.path), int(info.size or 0), int(info.mtime_ns or 0))


def _copy(
    storage: Any, files: list[_Remote], target: Path, address: str, tell: Callable[[int, int], None] | None
) -> None:
    """Copy all files into a draft beside the target, then give it its name."""
    draft = target.with_suffix(".part")
    draft.mkdir(exist_ok=True)
    missing = [file for file in files if not (draft / file.name).exists()]
    whole, left = sum(file.size for file in files), sum(file.size for file in missing)
    free = shutil.disk_usage(draft).free
    if left > free:
        raise DataError(
            f"data: {address} needs {left >> 20} MiB more in {target.parent}, which has {free >> 20} MiB; "
            "make room, or set XDG_CACHE_HOME to a larger disk"
        )
    done, lock = whole - left, threading.Lock()

    def report(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            if tell is not None:
                tell(min(done, whole), whole)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda file: _fetch(storage, file, draft / file.name, address, report), missing))
    draft.rename(target)


def _fetch(storage: Any, file: _Remote, target: Path, address: str, report: Callable[[int], None]) -> None:
    """Copy one file, going on where an earlier copy stopped."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.part")
    try:
        begin = draft.stat().st_size if draft.exists() else 0
        begin = begin if begin <= file.size else 0
        with draft.open("r+b" if begin else "wb") as out, storage.open_input_file(file.path) as source:
            out.seek(begin)
            source.seek(begin)
            report(begin)
            while block := source.read(_CHUNK):
                out.write(block)
                report(len(block))
            end = out.tell()
    except OSError as error:
        raise DataError(_unread(f"{address} ({file.name})", error)) from error
    if end != file.size:
        draft.unlink()
        raise DataError(f"data: {file.name} of {address} changed while it was copied; start again")
    draft.rename(target)


def _unread(address: str, error: BaseException) -> str:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return f"data: {address} cannot be read ({said[:200]}); check the address and the credentials in the environment"
