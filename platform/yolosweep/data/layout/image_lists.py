"""The images of a split: from a folder or a list, read as Ultralytics does, within the allowed roots."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from yolosweep.data.model.finding_counter import FindingCounter
from yolosweep.data.model.safe_paths import AllowedRoots, foreign_parts, is_image, printable, read_regular
from yolosweep.errors import DataError

__all__ = ["ImageCollector"]

_ENTRIES = 5_000_000
"""Directory entries visited per split: Open Images has two million images, a whole disk has more."""
_LIST_BYTES = 1 << 28
_DEPTH = 64
_SKIPPED = (".jfif", ".jpe", ".pjpeg", ".pjp", ".gif", ".ppm", ".pgm", ".pnm", ".tga", ".psd", ".ico", ".jxl")
"""Suffixes of images that are not in Ultralytics' list."""


class ImageCollector:
    """Collects the images of one split; each real file once, under the first path that led to it."""

    def __init__(self, split: str, allowed: AllowedRoots, *, outside: bool = False, hidden: bool = False) -> None:
        self.counter = FindingCounter(split, outside=outside)
        self.allowed = allowed
        self.resolved: dict[str, str] = {}
        """Prefixes of listed paths, each with the folder that replaces it."""
        self.outside, self._hidden = outside, hidden
        self._files: dict[str, str] = {}
        self._budget = _ENTRIES

    @property
    def images(self) -> list[str]:
        """Absolute paths, sorted."""
        return sorted(self._files.values())

    def walk(self, folder: Path) -> None:
        """Add the images below a folder (Ultralytics: ``glob("**/*.*")``), without following link cycles.

        Raises:
            DataError: The folder has more entries or levels than any dataset.
        """
        real, _ = self.allowed.folder(str(folder))
        stack: list[tuple[str, tuple[str, ...]]] = [(str(folder), (real,))]
        while stack:
            here, above = stack.pop()
            try:
                with os.scandir(here) as entries:
                    for entry in entries:
                        self._budget -= 1
                        if self._budget < 0 or len(above) > _DEPTH:
                            raise DataError(
                                f"{printable(folder)} contains over {_ENTRIES} files or {_DEPTH} levels of folders; "
                                "name the image folder itself"
                            )
                        if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                            if self._hidden or not entry.name.startswith("."):
                                self._enter(entry, above, stack)
                        else:
                            self._entry(entry, above[-1])
            except OSError as error:
                raise DataError(f"{printable(here)} cannot be listed: {error.strerror}") from error

    def _enter(self, entry: os.DirEntry[str], above: tuple[str, ...], stack: list[tuple[str, tuple[str, ...]]]) -> None:
        real, inside = f"{above[-1].rstrip('/')}/{entry.name}", True
        if entry.is_symlink():
            real, inside = self.allowed.folder(entry.path)
        if real in above:
            self.counter.add("file-loop", entry.path)
        elif inside or self.outside:
            if not inside:
                self.counter.add("file-outside", entry.path)
            stack.append((entry.path, (*above, real)))
        else:
            self.counter.add("file-outside", entry.path)

    def _entry(self, entry: os.DirEntry[str], folder: str) -> None:
        name = entry.name
        if not is_image(name) or "." not in name:
            if name.endswith((".npy", ".cache")):
                self.counter.add("file-foreign-cache", entry.path)
            elif name.lower().endswith(_SKIPPED) and not name.startswith("."):
                self.counter.add("file-suffix", entry.path)
        elif name.startswith("._" if self._hidden else "."):
            self.counter.add("file-hidden", entry.path)
        elif entry.is_symlink():
            self._add(entry.path, *self.allowed.file(entry.path))
        else:
            self._add(entry.path, f"{folder.rstrip('/')}/{name}", "" if entry.is_file() else "file-special")

    def _add(self, path: str, real: str, fault: str, line: int | None = None) -> None:
        if fault:
            self.counter.add(fault, path, line)
            if not (fault == "file-outside" and self.outside and os.path.isfile(real)):
                return
        if real in self._files:
            self.counter.add("file-twice", path, line)
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            self.counter.add("file-unwritable", path, line)
            return
        if not path.isprintable():
            self.counter.add("file-name-odd", path, line)
        self._files[real] = path

    def read_list(self, file: Path, bases: Sequence[Path]) -> None:
        """Add the images that a text file names, one per line.

        As in Ultralytics, ``./`` is relative to the list and other relative paths to the working directory. If
        nothing is there, ever shorter tails of the path are tried on ``bases``.

        Raises:
            DataError: The list is not UTF-8 text, or not a regular file.
        """
        try:
            text = read_regular(file, _LIST_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{printable(file)} is not a UTF-8 list of images; save it as UTF-8, one path per line"
            ) from error
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            if not is_image(line.strip()) or "\0" in line:
                self.counter.add("file-list-line", str(file), number)
                continue
            path = self._listed(line if is_image(line) else line.strip(), file.parent, bases)
            self._add(path, *self.allowed.file(path), line=number)

    def _listed(self, line: str, beside: Path, bases: Sequence[Path]) -> str:
        """Return the path a line means: the first candidate that exists, else the one Ultralytics uses."""
        first = os.path.join(os.getcwd(), f"{beside}/{line[2:]}" if line.startswith("./") else line)
        if ".." in first.split("/"):
            first = os.path.join(os.path.realpath(os.path.dirname(first)), os.path.basename(first))
        if os.path.lexists(first):
            return first
        for start, instead in self.resolved.items():
            if line.startswith(start) and os.path.lexists(found := os.path.join(instead, _forward(line[len(start) :]))):
                return found
        parts = foreign_parts(line)
        for skipped in range(max(1, len(parts) - 1)):
            rest = "/".join(parts[skipped:])
            for base in [*bases, beside]:
                if os.path.lexists(found := os.path.join(base, rest)):
                    if _forward(line).endswith(rest):
                        self.resolved[line[: len(line) - len(rest)]] = str(base)
                    return found
        return first


def _forward(text: str) -> str:
    return text.replace("\\", "/").lstrip("/")
