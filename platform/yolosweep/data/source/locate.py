"""What the user named as data, as a file or folder here: samples drawn, archives unpacked, storage staged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from yolosweep.data.samples.cache import sample_folder
from yolosweep.data.source.archive import unpack
from yolosweep.data.source.staging import staged
from yolosweep.errors import DataError
from yolosweep.experiment.addresses import is_address, redacted
from yolosweep.storage.atomic_files import cache_folder, sha256_of

__all__ = ["ARCHIVES", "copied", "place_of"]

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""What is taken for an archive, by the end of its name."""


def place_of(source: str, copying: Callable[[int, int], None] | None = None) -> Path:
    """Return where the data are: samples, archives and what was staged lie in yolosweep's own cache folder.

    Args:
        source: what the user named.
        copying: called with the number of bytes copied from a storage, and of all.

    Raises:
        DataError: there is no such sample, the archive is refused (:func:`yolosweep.data.source.archive.unpack`), the
            storage cannot be read (``staging.staged``), or the cache folder cannot be written.
    """
    try:
        if source.startswith("sample:"):
            return sample_folder(source)
        path = staged(source, copying) if is_address(source) else Path(source)
        return _unpacked(path) if path.name.lower().endswith(ARCHIVES) and path.is_file() else path
    except OSError as error:
        way = "give yourself the right to, or name a folder of your own in XDG_CACHE_HOME"
        raise DataError(f"data: {redacted(source)} cannot be laid down in {cache_folder()}: {error}; {way}") from error


def _unpacked(archive: Path) -> Path:
    """Return the folder of an unpacked archive, by its content: once, whoever names it."""
    target = cache_folder() / "unpacked" / sha256_of(archive)[:40]
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            unpack(archive, target)
    inside = [path for path in target.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def copied(root: Path) -> str:
    """Return which folder of the cache folder holds data that were staged or unpacked, relative to it.

    Args:
        root: of the data as they lie here. Other data give "": every machine reads them where they are.
    """
    for kind in ("staged", "unpacked"):
        every, real = (cache_folder() / kind).resolve(), root.resolve()
        if every in real.parents:
            return f"{kind}/{real.relative_to(every).parts[0]}"
    return ""
