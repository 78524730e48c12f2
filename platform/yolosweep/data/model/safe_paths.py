"""Untrusted paths: printed safely, opened only if regular files, and kept within the allowed roots."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from yolosweep.errors import DataError

__all__ = [
    *("IMAGE_SUFFIXES", "AllowedRoots", "foreign_parts", "is_image", "label_of"),
    *("nearest", "open_regular", "printable", "read_regular"),
]

IMAGE_SUFFIXES = frozenset(
    ("avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp")
)
"""Suffixes that Ultralytics reads (its ``IMG_FORMATS``), lower case, without the dot."""


def is_image(name: str) -> bool:
    """Return whether Ultralytics treats a file of this name as an image: by its suffix, in any case."""
    return name.rpartition(".")[-1].lower() in IMAGE_SUFFIXES


def label_of(image: Path) -> Path:
    """Return where Ultralytics looks for an image's labels (its ``img2label_paths``).

    The last folder named ``images`` becomes ``labels``; without one the labels are next to the image.
    """
    before, separator, after = str(image).rpartition("/images/")
    changed = f"{before}/labels/{after}" if separator else str(image)
    return Path(changed.rpartition(".")[0] + ".txt")


def printable(text: object, limit: int = 160) -> str:
    """Return untrusted text for a message: on one line, printable, valid Unicode, at most ``limit`` characters."""
    raw = str(text)
    clean = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in raw[: 2 * limit])
    return clean if len(clean) <= limit and len(raw) <= 2 * limit else f"{clean[: limit // 2]}…{clean[-limit // 2 :]}"


def open_regular(path: Path) -> IO[bytes] | None:
    """Open a regular file; return None for pipes, devices and sockets, which are never opened, so nothing blocks.

    Raises:
        OSError: The file is missing or unreadable.
    """
    if stat.S_ISREG(os.stat(path).st_mode):
        # The file may have been swapped for a pipe since; without O_NONBLOCK that would wait for a writer forever.
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb")
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return stream
        stream.close()
    return None


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        DataError: The file is not regular, is larger than ``limit_bytes``, or cannot be read.
    """
    try:
        stream = open_regular(path)
        if stream is None:
            raise DataError(f"{printable(path)} is not a regular file and is not opened")
        with stream:
            content = stream.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(path)} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > limit_bytes:
        raise DataError(f"{printable(path)} is larger than {limit_bytes >> 20} MiB and is not read")
    return content


class AllowedRoots:
    """The folders a dataset may use: those the user named, and nothing that a link or ``..`` leads to."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots: list[str] = []
        self._folders: dict[str, tuple[str, bool]] = {}
        for root in roots:
            self.declare(root)

    def declare(self, root: Path) -> None:
        """Add a folder that was named explicitly."""
        self._roots.append(os.path.realpath(root))
        self._folders.clear()

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self._roots)

    def holds(self, real: str) -> bool:
        """Return whether a path without links or ``..`` is a root or inside one."""
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in self._roots)

    def folder(self, folder: str) -> tuple[str, bool]:
        """Return a folder's real path, and whether it is allowed."""
        if folder not in self._folders:
            real = os.path.realpath(folder)
            self._folders[folder] = (real, self.holds(real))
        return self._folders[folder]

    def file(self, path: str) -> tuple[str, str]:
        """Return a file's real path, and the code of what forbids opening it.

        The code is ``file-missing``, ``file-outside``, ``file-special`` (not a regular file), or empty.
        """
        folder, inside = self.folder(os.path.dirname(path))
        real = os.path.join(folder, os.path.basename(path))
        try:
            mode = os.lstat(real).st_mode
            if stat.S_ISLNK(mode):
                real = os.path.realpath(real)
                inside = self.holds(real)
                mode = os.stat(real).st_mode if inside else mode
        except (OSError, ValueError):
            return real, "file-missing"
        if not inside:
            return real, "file-outside"
        return real, "" if stat.S_ISREG(mode) else "file-special"


def foreign_parts(text: str) -> list[str]:
    """Return the parts of a path written on any system: ``C:\\a\\b``, ``/content/a/b``, ``./a//b``."""
    parts = re.split(r"[\\/]+", re.sub(r"^[A-Za-z]:(?=[\\/])", "", text.strip()))
    return [part.strip() for part in parts if part.strip() not in ("", ".", "..", "~")]


def nearest(place: Path) -> str:
    """Describe the nearest existing folder of a missing path, and what it contains."""
    missing = place
    while not os.path.isdir(place) and place != place.parent:
        missing, place = place, place.parent
    try:
        with os.scandir(place) as entries:
            found = sorted(entry.name + "/" * entry.is_dir() for entry, _ in zip(entries, range(1000), strict=False))
    except OSError:
        found = []
    close = difflib.get_close_matches(missing.name, found, n=3)
    held: Sequence[str] = close or [name for name in found if name.endswith("/")][:6] or found[:6]
    return f"{printable(place)} contains {', '.join(printable(name, 40) for name in held) or 'nothing'}"
