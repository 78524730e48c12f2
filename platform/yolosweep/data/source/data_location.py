"""Turns the user's data source into a local file or folder: draws samples, unpacks archives, stages remote data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from yolosweep.data.samples.sample_cache import sample_folder
from yolosweep.data.source.archive import unpack
from yolosweep.data.source.remote_staging import staged
from yolosweep.errors import DataError
from yolosweep.storage.addresses import is_address, redacted
from yolosweep.storage.atomic_files import cache_folder, sha256_of

__all__ = ["ARCHIVES", "copied", "local_path"]

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Suffixes of archives."""


_NOT_UNPACKED = (".7z", ".rar")
_PARTS = {"train", "val", "valid", "test", "images", "labels"}
"""Folders of a data set, which are not the data set."""


def local_path(source: str, copying: Callable[[int, int], None] | None = None) -> Path:
    """Return the local path of the data; samples, archives and remote data go to yolosweep's cache folder.

    Args:
        source: The user's data source.
        copying: Called with the number of bytes copied from a storage so far and in total.

    Raises:
        DataError: The sample does not exist, the archive is rejected (:func:`yolosweep.data.source.archive.unpack`),
            the storage cannot be read (``staging.staged``), or the cache folder cannot be written.
    """
    try:
        if source.startswith("sample:"):
            return sample_folder(source)
        path = staged(source, copying) if is_address(source) else Path(source)
        if path.name.lower().endswith(_NOT_UNPACKED) and path.is_file():
            raise DataError(
                f"data: {path.name} is not unpacked; unpack it yourself and name the folder, or make a .zip"
            )
        return _unpacked(path) if path.name.lower().endswith(ARCHIVES) and path.is_file() else path
    except OSError as error:
        fix = "grant yourself write access, or set XDG_CACHE_HOME to a folder of your own"
        raise DataError(f"data: {redacted(source)} cannot be stored in {cache_folder()}: {error}; {fix}") from error


def _unpacked(archive: Path) -> Path:
    """Return the folder of an unpacked archive; each content is unpacked once."""
    target = cache_folder() / "unpacked" / sha256_of(archive)[:40]
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            unpack(archive, target)
    place = target
    while len(inside := [path for path in place.iterdir() if path.name != "__MACOSX"]) == 1 and inside[0].is_dir():
        if place != target and inside[0].name.lower() in _PARTS:
            break
        place = inside[0]
    return place


def copied(root: Path) -> str:
    """Return the folder of staged or unpacked data, relative to the cache folder.

    Args:
        root: Root of the data on this machine. Other data give "": every machine reads them in place.
    """
    for kind in ("staged", "unpacked"):
        every, real = (cache_folder() / kind).resolve(), root.resolve()
        if every in real.parents:
            return f"{kind}/{real.relative_to(every).parts[0]}"
    return ""
