"""Building an image store: sizes from the headers, disk space reserved, then all images decoded in threads."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np

from yolosweep.image_cache.cache_folder import Draft, Shelf
from yolosweep.image_cache.image_source import Source
from yolosweep.image_cache.image_store import ROW, ImageStore, layout, open_store, seal

__all__ = ["build"]

_LOG = logging.getLogger("ultralytics")
_LOG_EVERY_S = 10.0
_MOST_THREADS = 8


def build(shelf: Shelf, key: str, source: Source, limit: int) -> ImageStore | None:
    """Decode all images of ``source`` into a new file of ``shelf``; the caller holds the lock for ``key``.

    An image that cannot be decoded is left out; on access the store then raises as Ultralytics does.

    Returns:
        The store; None if it would take more than ``limit`` bytes, or an image file changed meanwhile.

    Raises:
        OSError: the folder cannot be written.
    """
    start = layout(len(source.files))
    extents = _extents(_ByKey(key, source))
    ends = start + np.cumsum(extents)
    if ends[-1] > limit:
        _LOG.info(f"decoded images at imgsz {source.imgsz} do not fit into {limit >> 20} MiB and are not shared")
        return None
    target = shelf.file(key)
    with shelf.draft(target, int(ends[-1]), limit) as draft:
        if draft is None:
            _LOG.info(f"other trials use the {limit >> 20} MiB for decoded images; imgsz {source.imgsz} is not shared")
            return None
        rows = np.zeros(len(extents), ROW)
        rows["offset"] = ends - extents
        _Decoding(draft, source, extents, rows).run()
        if source.key() != key:
            _LOG.info("image files changed while they were decoded; they are not shared")
            return None
        seal(draft.descriptor, key, rows)
        draft.publish(target)
        return open_store(target, key, source)


class _ByKey:
    """A source that compares by its key, so that it can be a key of the cache."""

    def __init__(self, key: str, source: Source) -> None:
        self.key, self.source = key, source

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByKey) and other.key == self.key


@lru_cache(maxsize=8)  # a warm process asks for every trial, also after the answer was "too big"
def _extents(asked: _ByKey) -> np.ndarray[Any, Any]:
    """Return the bytes of every decoded image."""
    source = asked.source
    return np.fromiter((source.decoded_bytes(index) for index in range(len(source.files))), np.int64, len(source.files))


class _Decoding:
    """Threads that decode (OpenCV releases the interpreter lock) and write each image to its own extent."""

    def __init__(self, draft: Draft, source: Source, extents: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> None:
        self._draft, self._source, self._extents, self._rows = draft, source, extents, rows
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._next = 0
        self._logged_at = time.monotonic()

    def run(self) -> None:
        """Decode all images.

        Raises:
            OSError: the pixels could not be written.
        """
        threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)), len(self._extents))
        with ThreadPoolExecutor(threads) as pool:
            try:
                for done in [pool.submit(self._work) for _ in range(threads)]:
                    done.result()
            finally:
                self._stop.set()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                index = self._turn()
                if index >= len(self._extents):
                    return
                self._one(index)
        except BaseException:
            self._stop.set()
            raise

    def _turn(self) -> int:
        with self._lock:
            index = self._next
            self._next += 1
            now = time.monotonic()
            if now - self._logged_at > _LOG_EVERY_S:
                self._logged_at = now
                _LOG.info(f"decoding images at imgsz {self._source.imgsz} for all trials: {index}/{len(self._extents)}")
        return index

    def _one(self, index: int) -> None:
        try:
            image, original, _ = self._source.load(index)
        except Exception as error:  # decoders raise any type; the error is raised again on access
            _LOG.warning(f"{self._source.files[index]} cannot be decoded: {error}")
            return
        if image.dtype != np.uint8 or image.nbytes > self._extents[index]:
            return
        pixels = np.ascontiguousarray(image)
        row = self._rows[index]
        if os.pwrite(self._draft.descriptor, pixels.data, int(row["offset"])) != pixels.nbytes:
            raise OSError("the disk stored only part of the decoded images")
        row["shape"], row["original"], row["crc"] = pixels.shape, original, zlib.crc32(pixels.data)
