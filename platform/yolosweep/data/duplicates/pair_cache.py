"""Cache of duplicate pairs: searching 100,000 images takes minutes, reading the result takes none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from yolosweep.data.duplicates.near_duplicates import Pair
from yolosweep.data.model.dataset_items import Images
from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["cached_pairs"]

_FORMAT = 5
"""Increment when the search or its thresholds change."""
_KEPT = 50
"""Results kept, most recently used first."""


def cached_pairs(
    image_facts: Images, search: Callable[[Images], list[Pair]], labels: Mapping[Path, str] | None = None
) -> list[Pair]:
    """Return the pairs that a search finds; it runs once for the same files with the same content.

    A data set that was moved or copied is known: files are named below the folder that they share. A damaged or
    unwritable cache only costs time.

    Args:
        image_facts: Of the files.
        search: Finds their pairs.
        labels: Digests of their label files, if the search uses them.
    """
    files = sorted(image_facts)
    above = len(os.path.commonpath({file.parent for file in files})) if files else 0
    digest = hashlib.sha256(f"{_FORMAT}\n".encode())
    for file in files:
        digest.update(
            f"{str(file)[above:]}\0{image_facts[file].sha256}\0{bool(image_facts[file].signature)}"
            f"\0{labels.get(file, '') if labels else ''}\n".encode(errors="surrogateescape")
        )
    key = digest.hexdigest()[:40]
    place = cache_folder() / "scan" / f"pairs-{key}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, IndexError):
        known = [Pair(files[one], files[two], str(kind)) for one, two, kind in json.loads(place.read_text())]
        os.utime(place)
        return known
    pairs = search(image_facts)
    number = {file: index for index, file in enumerate(files)}
    with contextlib.suppress(OSError):
        write_atomic(place, json.dumps([[number[pair.first], number[pair.second], pair.kind] for pair in pairs]))
        _evict(place.parent)
    return pairs


def _evict(folder: Path) -> None:
    known = sorted(folder.glob("pairs-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in known[_KEPT:]:
        path.unlink(missing_ok=True)
