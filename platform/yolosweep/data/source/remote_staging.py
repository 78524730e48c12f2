"""Data in object storage (``s3://``, ``gs://``, ``file://``…), staged once per machine into our own cache folder.

The staged copy is named by the listing of the storage (names, sizes, times), so changed data are other data. An
interrupted copy continues where it stopped; of several processes that ask at once, one copies.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from yolosweep.errors import DataError
from yolosweep.storage import Address, Objects, Stored
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["staged"]

_AT_ONCE = 8
_YAML = (".yaml", ".yml")


def staged(source: str, tell: Callable[[int, int], None] | None = None) -> Path:
    """Return where data of an object storage are on this machine, copying what is not here yet.

    Args:
        source: address of a folder, of a data.yaml (its folder is staged) or of an archive. Credentials come from
            the environment.
        tell: called with the number of bytes copied, and of all.

    Returns:
        The folder, the data.yaml in it, or the archive.

    Raises:
        DataError: there is nothing, it cannot be read, or the disk has no room; what was copied is kept.
    """
    try:
        address = Address.parse(source, holds="data")
    except ValueError as error:
        raise DataError(f"data: {error}") from None
    above, single = _objects(address.parent), None
    is_yaml = address.name.endswith(_YAML)
    if not is_yaml and address.name:
        single = above.head(address.name)
    storage = above if single or is_yaml else _objects(address)
    files = [single] if single else [_checked(file) for file in storage.stored()]
    if not files:
        raise DataError(f"data: there is nothing at {address}; name a folder, a data.yaml or an archive")
    key = hashlib.sha256(json.dumps([str(address), files]).encode()).hexdigest()[:40]
    target = cache_folder() / "staged" / key
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            _copy(storage, files, target, tell)
    return target / address.name if single or is_yaml else target


def _objects(address: Address) -> Objects:
    return Objects(address, wait_s=0, key="data", error=DataError)


def _checked(file: Stored) -> Stored:
    """Return a file of the storage.

    Raises:
        DataError: its name would lead out of the folder.
    """
    if "\0" in file.name or any(part in ("", ".", "..") for part in file.name.split("/")):
        raise DataError(f"data: the storage holds a file with the name {file.name!r}, which leads elsewhere; rename it")
    return file


def _copy(storage: Objects, files: list[Stored], target: Path, tell: Callable[[int, int], None] | None) -> None:
    """Copy all files into a draft beside the target, then give it its name."""
    draft = target.with_suffix(".part")
    draft.mkdir(exist_ok=True)
    missing = [file for file in files if not (draft / file.name).exists()]
    whole, left = sum(file.size for file in files), sum(file.size for file in missing)
    free = shutil.disk_usage(draft).free
    if left > free:
        raise DataError(
            f"data: {storage.address} needs {left >> 20} MiB more in {target.parent}, which has {free >> 20} MiB; "
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
        list(pool.map(lambda file: _fetch(storage, file, draft / file.name, report), missing))
    draft.rename(target)


def _fetch(storage: Objects, file: Stored, target: Path, report: Callable[[int], None]) -> None:
    """Copy one file, continuing where an earlier copy stopped."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.part")
    begin = draft.stat().st_size if draft.exists() else 0
    begin = begin if begin <= file.size else 0
    report(begin)
    try:
        with draft.open("r+b" if begin else "wb") as out:
            end = out.seek(begin)
            for block in storage.stream(file.name, begin) if begin < file.size else ():
                out.write(block)
                report(len(block))
                end += len(block)
    except OSError as error:
        raise DataError(
            f"data: {file.name} of {storage.address} cannot be copied to {draft.parent}: {error}"
        ) from error
    if end != file.size:
        draft.unlink()
        raise DataError(f"data: {file.name} of {storage.address} changed while it was copied; start again")
    draft.rename(target)
