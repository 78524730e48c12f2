"""Decoded images, shared by all trials of a node: one memory-mapped file per set of images and image size.

.. code-block:: text

    head     magic, key, number of images, size of the file, SHA-256 of head and rows
    rows     one per image: offset of its pixels, their shape, the original shape, CRC-32 of the pixels
    pixels   uint8, height x width x channels, on a page boundary

The file is written once (temporary name, fsync, rename), then only read. Head and rows are checked when it is opened,
every image's pixels when a process first uses them; a mismatch is decoded from the user's file instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from yolosweep.image_cache.image_source import Loaded, Source

__all__ = ["ROW", "ImageStore", "layout", "open_store", "seal"]

_LOG = logging.getLogger("ultralytics")
_MAGIC = b"yolosweep-images-1\n".ljust(32, b"\0")
_HEAD = struct.Struct("<32s64sqq")
_DIGEST = hashlib.sha256().digest_size

ROW = np.dtype(
    [("offset", "<i8"), ("shape", "<i4", 3), ("original", "<i4", 2), ("crc", "<u4")],
)
"""One image in the file; height 0 means that the store does not contain it."""


def layout(count: int) -> int:
    """Return where the pixels of ``count`` images begin, bytes."""
    return -(-(_HEAD.size + _DIGEST + count * ROW.itemsize) // mmap.PAGESIZE) * mmap.PAGESIZE


def seal(descriptor: int, key: str, rows: np.ndarray[Any, Any]) -> None:
    """Write head and rows into a file whose pixels are written."""
    head = _HEAD.pack(_MAGIC, key.encode(), len(rows), os.fstat(descriptor).st_size)
    body = rows.tobytes()
    content = head + hashlib.sha256(head + body).digest() + body
    if os.pwrite(descriptor, content, 0) != len(content):
        raise OSError("the index of the decoded images could not be written")


def open_store(path: Path, key: str, source: Source) -> ImageStore | None:
    """Map the store at ``path``; None if it is missing, incomplete, or not the one for ``key``."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for an eviction to end
        if os.fstat(descriptor).st_nlink == 0 or os.fstat(descriptor).st_size == 0:
            return None
        pages = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)  # keeps the open file, and so the lock
    finally:
        os.close(descriptor)
    if not _is_intact(pages, key, len(source.files)):
        return None
    try:
        os.utime(path)
    except OSError:
        _LOG.debug(f"the time of last use of {path} could not be updated")
    return ImageStore(path, key, source, pages)


def _is_intact(pages: mmap.mmap, key: str, count: int) -> bool:
    """Return whether head and rows are intact and belong to ``key``."""
    start = _HEAD.size + _DIGEST
    if len(pages) < layout(count):
        return False
    if pages[: _HEAD.size] != _HEAD.pack(_MAGIC, key.encode(), count, len(pages)):
        return False
    rows = pages[start : start + count * ROW.itemsize]
    return hashlib.sha256(pages[: _HEAD.size] + rows).digest() == pages[_HEAD.size : start]


class ImageStore:
    """Decoded images in a read-only memory map. Forked workers share the map, pickled copies open the file again."""

    def __init__(self, path: Path, key: str, source: Source, pages: mmap.mmap | None) -> None:
        self.path = path
        self._key, self._source = key, source
        self._attach(pages)

    def _attach(self, pages: mmap.mmap | None) -> None:
        count = len(self._source.files)
        self._pages = np.frombuffer(b"" if pages is None else pages, np.uint8)
        self._rows = np.zeros(count, ROW)
        if pages is not None:
            self._rows = np.frombuffer(pages, ROW, count, _HEAD.size + _DIGEST)
        self._good, self._bad = bytearray(count), bytearray(count)

    def __len__(self) -> int:
        return len(self._source.files)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_key": self._key, "_source": self._source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        again = open_store(self.path, self._key, self._source)
        if again is None:  # evicted meanwhile: this copy decodes
            self._attach(None)
        else:
            self.__dict__.update(again.__dict__)

    def image(self, index: int) -> Loaded:
        """Return exactly what Ultralytics' ``load_image(index)`` returns; the pixels are the caller's own copy.

        Raises:
            FileNotFoundError: the image cannot be decoded; Ultralytics raises the same.
        """
        row = self._rows[index]
        height, width, channels = (int(side) for side in row["shape"])
        if not height or self._bad[index]:
            return self._source.load(index)
        start = int(row["offset"])
        pixels = self._pages[start : start + height * width * channels]
        if not self._good[index]:
            if zlib.crc32(pixels.data) != row["crc"]:
                self._drop(index)
                return self._source.load(index)
            self._good[index] = 1
        original = int(row["original"][0]), int(row["original"][1])
        return pixels.reshape(height, width, channels).copy(), original, (height, width)

    def _drop(self, index: int) -> None:
        """Remove a damaged file: the next process rebuilds it, this one decodes the damaged images."""
        self._bad[index] = 1
        _LOG.warning(f"{self.path} is damaged; {self._source.files[index]} is decoded again")
        self.path.unlink(missing_ok=True)
