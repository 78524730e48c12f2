"""From what the user named as data to a file or folder that can be read: samples are drawn, archives unpacked."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from yolosweep.data.archive import unpack
from yolosweep.data.builtin import sample_folder
from yolosweep.durable import cache_folder, sha256_of

__all__ = ["ARCHIVES", "place_of"]

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""What is taken for an archive, by the end of its name."""


def place_of(source: str) -> Path:
    """Return where the data are: ``sample:<name>`` and archives lie in yolosweep's own cache folder.

    Raises:
        DataError: there is no such sample, or the archive is refused (see :func:`yolosweep.data.archive.unpack`).
    """
    if source.startswith("sample:"):
        return sample_folder(source)
    path = Path(source)
    return _unpacked(path) if path.name.lower().endswith(ARCHIVES) and path.is_file() else path


def _unpacked(archive: Path) -> Path:
    """Return the folder of an unpacked archive, by its content: once, whoever names it."""
    target = cache_folder() / "unpacked" / sha256_of(archive)[:40]
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            unpack(archive, target)
    inside = [path for path in target.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target
