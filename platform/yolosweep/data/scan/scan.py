"""All images and label files of a dataset, read once and remembered between runs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from yolosweep.data.duplicates import signatures
from yolosweep.data.model.items import Labels, Layout, Pictures
from yolosweep.data.scan import image_reading, label_reading, reader_worker, scan_codec
from yolosweep.data.scan.reader_pool import read_all
from yolosweep.data.scan.reader_worker import Job, Rules
from yolosweep.data.scan.scan_cache import ScanCache, stamp_of
from yolosweep.data.scan.scan_codec import PackedLabels, picture_of_text

__all__ = ["scan"]

_DECIDING = (scan_codec, label_reading, signatures, image_reading, reader_worker)
"""Our modules that decide what is read of a file: where one of them changes, nothing read before is of use."""

_KEEP_AT_ONCE = 1000

Tell = Callable[[int, int], None]


def scan(
    layout: Layout, *, tell: Tell | None = None, workers: int | None = None, trust_times: bool = True
) -> tuple[Pictures, Labels]:
    """Read every image and every label file of a layout, each path once.

    A file whose size, times and inode number are as in an earlier run is not opened. At most 4 kB are held for an
    image with its ten boxes; label files are unpacked whenever they are asked for.

    Args:
        layout: where the files are.
        tell: called with the numbers of files done and of all files, now and then.
        workers: reader processes; None for as many as there are CPU cores.
        trust_times: False reads all files anew.
    """
    rules = Rules(layout.task, layout.names, _kpt_shape(layout.extra.get("kpt_shape")))
    items = [item for split in layout.splits.values() for item in split]
    texts: dict[str, dict[Path, str]] = {
        "picture": dict.fromkeys((item.image for item in items), ""),
        "label": dict.fromkeys((item.label for item in items if item.label is not None), ""),
    }
    memory, stamps = ScanCache(), {kind: _stamps(paths) for kind, paths in texts.items()}
    for kind, paths in texts.items():
        if trust_times:
            paths.update(memory.find(_kind(kind, rules), stamps[kind]))
    jobs = [Job(kind, path) for kind, paths in texts.items() for path, text in paths.items() if not text]
    total = sum(map(len, texts.values()))
    fresh: list[Job] = []
    for count, (job, text) in enumerate(read_all(jobs, rules, workers=workers), total - len(jobs)):
        texts[job.kind][job.path] = text
        fresh.append(job)
        if len(fresh) == _KEEP_AT_ONCE:
            _keep(memory, fresh, texts, stamps, rules)
            fresh = []
        if tell and count % 64 == 0:
            tell(count, total)
    _keep(memory, fresh, texts, stamps, rules)
    if tell:
        tell(total, total)
    raw = texts["picture"]
    pictures = {path: picture_of_text(raw.pop(path)) for path in list(raw)}  # never all of both at a time
    return pictures, PackedLabels(texts["label"])


def _kpt_shape(given: object) -> tuple[int, ...] | None:
    """Return a usable ``kpt_shape``; of any other the reader of data.yaml has told."""
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
    """Return what facts of this kind hang on besides the file."""
    from PIL import __version__ as pillow

    digest = hashlib.sha256(json.dumps([kind, pillow, rules if kind == "label" else None]).encode())
    for module in _DECIDING:
        digest.update(Path(str(module.__file__)).read_bytes())
    return f"{kind} {digest.hexdigest()[:24]}"


def _keep(
    memory: ScanCache,
    jobs: Iterable[Job],
    texts: Mapping[str, Mapping[Path, str]],
    stamps: Mapping[str, Mapping[Path, str]],
    rules: Rules,
) -> None:
    """Remember what was read, except of files that could not be read: that may pass."""
    for kind, known in stamps.items():
        mine = (job.path for job in jobs if job.kind == kind and job.path in known)
        kept = [(path, known[path], text) for path in mine if not (text := texts[kind][path]).startswith('["",')]
        if kept:
            memory.keep(_kind(kind, rules), kept)
