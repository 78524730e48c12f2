"""The images of a split: a folder walked or a list read as Ultralytics does, within the declared roots."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from yolosweep.data.model.finding_counter import FindingCounter
from yolosweep.data.model.safe_paths import Ground, foreign_parts, is_image, read_regular, shown
from yolosweep.errors import DataError

__all__ = ["Gathering"]

_ENTRIES = 5_000_000
"""Files and folders looked at in one split: Open Images has two million images, a whole disk has more."""
_LIST_BYTES = 1 << 28
_DEPTH = 64


class Gathering:
    """Collects the images of one split; each real file once, under the path it was found by first."""

    def __init__(self, split: str, ground: Ground, *, outside: bool = False, hidden: bool = False) -> None:
        self.tally = FindingCounter(split)
        self.ground = ground
        self.resolved: dict[str, str] = {}
        """What stood in front of listed paths: where it was found instead."""
        self.outside, self._hidden = outside, hidden
        self._files: dict[str, str] = {}
        self._left = _ENTRIES

    @property
    def images(self) -> list[str]:
        """Absolute paths, sorted."""
        return sorted(self._files.values())

    def walk(self, folder: Path) -> None:
        """Add the images below a folder (Ultralytics: ``glob("**/*.*")``), without going round in circles.

        Raises:
            DataError: there is more in it than any dataset has.
        """
        real, _ = self.ground.folder(str(folder))
        stack: list[tuple[str, tuple[str, ...]]] = [(str(folder), (real,))]
        while stack:
            here, above = stack.pop()
            try:
                with os.scandir(here) as entries:
                    for entry in entries:
                        self._left -= 1
                        if self._left < 0 or len(above) > _DEPTH:
                            raise DataError(
                                f"{shown(folder)} holds over {_ENTRIES} files or {_DEPTH} levels of folders; "
                                "name the folder of the images"
                            )
                        if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                            if self._hidden or not entry.name.startswith("."):
                                self._enter(entry, above, stack)
                        else:
                            self._entry(entry, above[-1])
            except OSError as error:
                raise DataError(f"{shown(here)} cannot be looked into: {error.strerror}") from error

    def _enter(self, entry: os.DirEntry[str], above: tuple[str, ...], stack: list[tuple[str, tuple[str, ...]]]) -> None:
        real, inside = f"{above[-1].rstrip('/')}/{entry.name}", True
        if entry.is_symlink():
            real, inside = self.ground.folder(entry.path)
        if real in above:
            self.tally.add("file-loop", entry.path)
        elif inside or self.outside:
            if not inside:
                self.tally.add("file-outside", entry.path)
            stack.append((entry.path, (*above, real)))
        else:
            self.tally.add("file-outside", entry.path)

    def _entry(self, entry: os.DirEntry[str], folder: str) -> None:
        name = entry.name
        if not is_image(name) or "." not in name:
            if name.endswith((".npy", ".cache")):
                self.tally.add("file-foreign-cache", entry.path)
        elif name.startswith("._" if self._hidden else "."):
            self.tally.add("file-hidden", entry.path)
        elif entry.is_symlink():
            self._add(entry.path, *self.ground.file(entry.path))
        else:
            self._add(entry.path, f"{folder.rstrip('/')}/{name}", "" if entry.is_file() else "file-special")

    def _add(self, path: str, real: str, fault: str, line: int | None = None) -> None:
        if fault:
            self.tally.add(fault, path, line)
            if not (fault == "file-outside" and self.outside and os.path.isfile(real)):
                return
        if real in self._files:
            self.tally.add("file-twice", path, line)
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            self.tally.add("file-unwritable", path, line)
            return
        if not path.isprintable():
            self.tally.add("file-name-odd", path, line)
        self._files[real] = path

    def read_list(self, file: Path, bases: Sequence[Path]) -> None:
        """Add the images that a text file names, one a line.

        As Ultralytics reads it: ``./`` is beside the list, other relative paths are relative to the working
        directory. Where nothing is there, ``bases`` are tried, then ever shorter ends of the path on them.

        Raises:
            DataError: it is no text in UTF-8, or no regular file.
        """
        try:
            text = read_regular(file, _LIST_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{shown(file)} is no list of images in UTF-8; save it as UTF-8, one path per line"
            ) from error
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            if not is_image(line.strip()) or "\0" in line:
                self.tally.add("file-list-line", str(file), number)
                continue
            path = self._listed(line if is_image(line) else line.strip(), file.parent, bases)
            self._add(path, *self.ground.file(path), line=number)

    def _listed(self, line: str, beside: Path, bases: Sequence[Path]) -> str:
        """Return what a line stands for: the first place where something is, else the place Ultralytics looks at."""
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
