"""Pairs of like pictures that were found before: for 100,000 pictures the search takes minutes, reading it none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from yolosweep.data.duplicates.near_duplicates import Pair
from yolosweep.data.model.items import Pictures
from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["remembered"]

_FORMAT = 1
"""Raised when the search or its thresholds change."""
_KEPT = 50
"""Searches that are kept, the ones used last."""


def remembered(pictures: Pictures, search: Callable[[Pictures], list[Pair]]) -> list[Pair]:
    """Return the pairs a search finds; it runs once for the same files of the same content.

    A cache that is damaged or cannot be written only costs time.
    """
    files = sorted(pictures)
    digest = hashlib.sha256(f"{_FORMAT}\n".encode())
    for file in files:
        digest.update(
            f"{file}\0{pictures[file].sha256}\0{bool(pictures[file].look)}\n".encode(errors="surrogateescape")
        )
    place = cache_folder() / "scan" / f"pairs-{digest.hexdigest()[:40]}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, IndexError):
        known = [Pair(files[one], files[two], str(kind)) for one, two, kind in json.loads(place.read_text())]
        os.utime(place)
        return known
    pairs = search(pictures)
    number = {file: index for index, file in enumerate(files)}
    with contextlib.suppress(OSError):
        write_atomic(place, json.dumps([[number[pair.first], number[pair.second], pair.kind] for pair in pairs]))
        _forget_oldest(place.parent)
    return pairs


def _forget_oldest(folder: Path) -> None:
    known = sorted(folder.glob("pairs-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in known[_KEPT:]:
        path.unlink(missing_ok=True)
