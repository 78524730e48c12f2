"""The decoded images of a data set: made by the first process of a node that needs them, shared by all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from yolosweep.image_cache.cache_folder import Shelf
from yolosweep.image_cache.image_source import Source
from yolosweep.image_cache.image_store import ImageStore, open_store
from yolosweep.image_cache.store_building import build
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["shared_store", "store_of"]

_LOG = logging.getLogger("ultralytics")


def shared_store(
    files: Sequence[str], imgsz: int, *, budget_mb: int | None = None, channels: int = 3
) -> ImageStore | None:
    """Return the decoded images of ``files`` at ``imgsz``; the first process of a node decodes, others wait for it.

    Args:
        files: image files, in the order of the data set.
        imgsz: length of the longer side, pixels. Anything but an integer gives None.
        budget_mb: MiB of disk for all stores of this node; by default a quarter of its memory or free disk.
        channels: 3 for colour (BGR), 1 for grayscale, others as they are in the file.

    Returns:
        The store, or None if it does not fit or cannot be written; the caller then decodes as usual.
    """
    if type(imgsz) is not int or imgsz < 1 or not files:
        return None
    try:
        return store_of(Source(files, imgsz, channels), cache_folder() / "images", budget_mb)
    except OSError as error:
        _LOG.warning(f"decoded images are not shared: {error}")
        return None


def store_of(source: Source, folder: Path, budget_mb: int | None = None) -> ImageStore | None:
    """Return the store of ``source`` in ``folder``, building it if necessary; None if it does not fit.

    Raises:
        OSError: the folder cannot be written.
    """
    shelf, key = Shelf(folder), source.key()
    found = open_store(shelf.file(key), key, source)
    if found is not None:
        return found
    with shelf.building(key):
        found = open_store(shelf.file(key), key, source)
        if found is None:
            shelf.file(key).unlink(missing_ok=True)  # incomplete, or foreign
            found = build(shelf, key, source, shelf.limit(budget_mb))
        return found
