"""Reads all images and label files of a dataset once, and caches the results between runs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from yolosweep.data.duplicates import thumbnails
from yolosweep.data.model.dataset_items import Images, Labels, Layout
from yolosweep.data.scan import image_reading, label_reading, reader_worker, row_kinds, scan_codec
from yolosweep.data.scan.reader_pool import read_all
from yolosweep.data.scan.reader_worker import Job, Rules
from yolosweep.data.scan.scan_cache import ScanCache, stamp_of
from yolosweep.data.scan.scan_codec import PackedLabels, decode_image

__all__ = ["scan"]

_DECIDING = (scan_codec, label_reading, row_kinds, thumbnails, image_reading, reader_worker)
"""Modules that determine what is read from a file; a change in one of them invalidates the cache."""

_KEEP_AT_ONCE = 1000


def scan(
    layout: Layout, *, progress: Callable[[int, int], None] | None = None, workers: int | None = None
) -> tuple[Images, Labels]:
    """Read every image and every label file of a layout, each path once.

    A file with the size, times and inode number of an earlier run is not opened. An image with ten boxes takes at most
    4 kB; label files are decoded on access.

    Args:
        layout: The dataset's files.
        progress: Called with the number of files read so far and in total.
        workers: Reader processes; None for one per CPU core.
    """
    rules = Rules(layout.task, layout.names, _kpt_shape(layout.extra.get("kpt_shape")))
    items = [item for split in layout.splits.values() for item in split]
    texts: dict[str, dict[Path, str]] = {
        "image": dict.fromkeys((item.image for item in items), ""),
        "label": dict.fromkeys((item.label for item in items if item.label is not None), ""),
    }
    cache, stamps = ScanCache(), {kind: _stamps(paths) for kind, paths in texts.items()}
    for kind, paths in texts.items():
        paths.update(cache.find(_kind(kind, rules), stamps[kind]))
    jobs = [Job(kind, path) for kind, paths in texts.items() for path, text in paths.items() if not text]
    total = sum(map(len, texts.values()))
    fresh: list[Job] = []
    for count, (job, text) in enumerate(read_all(jobs, rules, workers=workers), total - len(jobs)):
        texts[job.kind][job.path] = text
        fresh.append(job)
        if len(fresh) == _KEEP_AT_ONCE:
            _keep(cache, fresh, texts, stamps, rules)
            fresh = []
        if progress and count % 64 == 0:
            progress(count, total)
    _keep(cache, fresh, texts, stamps, rules)
    if progress:
        progress(total, total)
    raw = texts["image"]
    image_facts = {path: decode_image(raw.pop(path)) for path in list(raw)}  # never both in full, to save memory
    return image_facts, PackedLabels(texts["label"])


def _kpt_shape(given: object) -> tuple[int, ...] | None:
    """Return a valid ``kpt_shape``; an invalid one is reported when data.yaml is read."""
    if isinstance(given, (list, tuple)) and len(given) == 2 and all(type(one) is int and one >= 0 for one in given):
        return tuple(given)
    return None


def _stamps(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the stamps of the files that have one."""
    stamps = {}
    now = time.time_ns()
    for path in paths:
        try:
            stamp = stamp_of(os.stat(path), now)
        except (OSError, ValueError):
            continue
        if stamp is not None:
            stamps[path] = stamp
    return stamps


def _kind(kind: str, rules: Rules) -> str:
    """Return the cache key of a kind of file: everything but the file that the result depends on."""
    from PIL import __version__ as pillow

    digest = hashlib.sha256(json.dumps([kind, pillow, rules if kind == "label" else None]).encode())
    for module in _DECIDING:
        digest.update(Path(str(module.__file__)).read_bytes())
    return f"{kind} {digest.hexdigest()[:24]}"


def _keep(
    cache: ScanCache,
    jobs: Iterable[Job],
    texts: Mapping[str, Mapping[Path, str]],
    stamps: Mapping[str, Mapping[Path, str]],
    rules: Rules,
) -> None:
    """Cache the results, except those of unreadable files, which may become readable."""
    for kind, known in stamps.items():
        mine = (job.path for job in jobs if job.kind == kind and job.path in known)
        kept = [(path, known[path], text) for path in mine if not (text := texts[kind][path]).startswith('["",')]
        if kept:
            cache.keep(_kind(kind, rules), kept)
