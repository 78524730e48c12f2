"""Counting what goes wrong file by file, so that a hundred thousand bad files make one finding."""

from __future__ import annotations

from typing import NamedTuple

from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import shown
from yolosweep.records import Finding

__all__ = ["FindingCounter"]

_SAID = {
    "file-missing": "{n} listed images do not exist, first {file}",
    "file-outside": "{n} files lie outside of the dataset's folders (through a link, .. or a list) and are left out",
    "file-special": "{n} images or labels are pipes, devices, sockets or folders: left out and never opened",
    "file-unwritable": "{n} images have names that are not UTF-8 and are left out: no manifest can hold them",
    "file-name-odd": "{n} images have control characters (e.g. a line break) in their names",
    "file-twice": "{n} images are listed more than once; each is taken once",
    "file-hidden": "{n} images with hidden names are left out",
    "file-no-class": "{n} images lie in no class folder and are not used",
    "file-foreign-cache": "{n} files of a cache (.cache, .npy) lie beside the images or labels; they are not read here",
    "file-loop": "{n} links lead back to a folder above themselves and are not followed",
    "file-list-line": "{n} lines of the list are no images and are left out, as Ultralytics does",
    "file-label-case": "{n} label files differ from their image's name in upper and lower case; they are used",
    "file-same-label": "{n} images share their label file with an image of another suffix",
}


class _Count(NamedTuple):
    file: str
    line: int | None
    times: int


class FindingCounter:
    """How often each kind of thing was seen in a split, and where first."""

    def __init__(self, split: str | None = None) -> None:
        self.split = split
        self._seen: dict[str, _Count] = {}

    def add(self, code: str, file: str, line: int | None = None) -> None:
        """Count one; the first of a kind is the one that is shown."""
        known = self._seen.get(code)
        self._seen[code] = _Count(file, line, 1) if known is None else known._replace(times=known.times + 1)

    def count(self, code: str) -> int:
        """Return how often a kind was seen."""
        return self._seen[code].times if code in self._seen else 0

    def findings(self) -> list[Finding]:
        """Return one finding for each kind."""
        return [
            finding(
                code,
                _SAID[code].format(n=seen.times, file=shown(seen.file)),
                file=shown(seen.file, 1000),
                line=seen.line,
                split=self.split,
                count=seen.times,
            )
            for code, seen in self._seen.items()
        ]

    def told(self) -> str:
        """Return the counts in one clause, for an error that says why nothing is left."""
        return "; ".join(_SAID[code].format(n=seen.times, file=shown(seen.file)) for code, seen in self._seen.items())
