"""Journal of predicted label files: one line per image, so that no image is labelled or written twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from yolosweep.autolabel.agreement import PredictedLabel
from yolosweep.errors import RunFolderError
from yolosweep.storage.atomic_files import sha256_of, write_atomic

__all__ = ["Entry", "Journal", "rows"]


class Entry(NamedTuple):
    """The predicted labels of one image."""

    label: str
    """Path of its label file relative to the folder, with forward slashes."""
    sha256: str
    """Of the label file as written."""
    drawn: tuple[PredictedLabel, ...]


class Journal:
    """``autolabel.jsonl`` and the label files of one folder.

    The line is written before the file: a file without a line is not ours, one with another hash was edited.

    Raises:
        OSError: The folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "autolabel.jsonl"
        self._entries: dict[str, Entry] = {}
        if self._file.exists():
            whole = [line for line in self._file.read_bytes().split(b"\n") if self._take(line)]
            write_atomic(self._file, b"".join(line + b"\n" for line in whole))  # drops a truncated line

    def _take(self, line: bytes) -> bool:
        """Load a line; return whether it is valid and complete."""
        try:
            fields = json.loads(line)
            drawn = tuple(PredictedLabel(int(c), tuple(box), float(s), tuple(p)) for c, box, s, p in fields["drawn"])
            entry = Entry(str(fields["label"]), str(fields["sha256"]), drawn)
        except (ValueError, KeyError, TypeError):
            return False
        if not (self.folder / entry.label).resolve().is_relative_to(self.folder.resolve()):
            return False
        self._entries[str(fields["image"])] = entry
        return True

    def entry(self, image: Path) -> Entry | None:
        """Return the entry of an image."""
        return self._entries.get(str(image))

    def state(self, entry: Entry) -> str | None:
        """Return ``done``, ``edited`` if the label file has changed, or None if it is missing."""
        place = self.folder / entry.label
        if not place.exists():
            return None
        return "done" if sha256_of(place) == entry.sha256 else "edited"

    def write(self, image: Path, label: str, drawn: Sequence[PredictedLabel]) -> Path:
        """Append the entry of an image, then write its label file; return the file.

        Raises:
            RunFolderError: A file of that name exists that was not written here.
        """
        place = self.folder / label
        if place.exists():
            raise RunFolderError(
                f"{place} exists and was not written by autolabel; move it away, or choose a new folder"
            )
        content = rows(drawn)
        entry = Entry(label, hashlib.sha256(content.encode()).hexdigest(), tuple(drawn))
        line = {"image": str(image), "label": label, "sha256": entry.sha256, "drawn": [_flat(mark) for mark in drawn]}
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line, separators=(",", ":")) + "\n")
            out.flush()
            os.fsync(out.fileno())
        write_atomic(place, content)
        self._entries[str(image)] = entry
        return place


def _flat(mark: PredictedLabel) -> list[object]:
    return [mark.category, list(mark.box), mark.score, list(mark.points)]


def rows(drawn: Sequence[PredictedLabel]) -> str:
    """Return the lines of a YOLO label file: ``class x y width height``, or ``class x y x y…`` for polygons."""
    return "".join(
        f"{mark.category} {' '.join(f'{value:.6f}' for value in (mark.points or mark.box))}\n" for mark in drawn
    )
