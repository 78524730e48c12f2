"""The images of a folder by name: labels of other formats name files that are on other machines, or untrusted."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from yolosweep.data.model.safe_paths import foreign_parts

__all__ = ["ImageIndex", "split_in"]

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class ImageIndex:
    """Finds images by the names in annotation files: only files that are in the folder can be found."""

    def __init__(self, images: Iterable[Path]) -> None:
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for image in images:
            self._by_name[image.name.casefold()].append(image)
            self._by_stem[image.stem.casefold()].append(image)

    def find(self, name: str, near: Path, *, stem: str = "") -> Path | None:
        """Return the image that a name means, or None if there is none or more than one.

        Args:
            name: a file name, a path of another machine, or an address.
            near: the annotation file; of images with the same name, the one closest to it is meant.
            stem: the image's name without suffix, for formats with a file per image.
        """
        parts = foreign_parts(unquote(name.rpartition("?d=")[2]))
        last = parts[-1].casefold() if parts else ""
        found = self._by_name.get(last) or self._by_name.get(_UPLOAD.sub("", last))
        found = found or self._by_stem.get((stem or "\0").casefold())
        if not found:
            return None
        ranks = sorted(((_rank(image, parts, near), image) for image in found), reverse=True)
        return ranks[0][1] if len(ranks) == 1 or ranks[0][0] != ranks[1][0] else None

    def of_stem(self, stem: str) -> bool:
        """Return whether an image has this name without its suffix."""
        return stem.casefold() in self._by_stem

    def named(self, name: str) -> bool:
        """Return whether an image has this name."""
        return name.casefold() in self._by_name


def _rank(image: Path, parts: list[str], near: Path) -> tuple[int, int]:
    """Return how many parts of the name an image's path ends with, and how many folders it shares with a file."""
    ends = 0
    for mine, theirs in zip(reversed(image.parts), reversed(parts), strict=False):
        if mine.casefold() != theirs.casefold():
            break
        ends += 1
    return ends, len(Path(os.path.commonpath([image, near])).parts)


def split_in(path: Path) -> str:
    """Return the split that a relative path names, the first part that does; empty for none."""
    for part in path.parts:
        for word in re.split(r"[\W_\d]+", part.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return ""
