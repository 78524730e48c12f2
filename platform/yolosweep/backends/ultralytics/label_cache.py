"""Scanned labels, kept in our own cache folder: once per node for every list of files, checked before they are used.

Ultralytics keeps one pickle beside the user's labels, named after their folder: two lists over the same folder (another
``fraction``, another split) overwrite each other, trials that start at once all scan, and whoever can write to the data
set can make a training run his code. Here a file beside the data is neither read nor written.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["install", "scan_findings", "scan_labels"]

_LOG = logging.getLogger("ultralytics")
_MAGIC = b"yolosweep-labels-1\n"
_DIGEST = hashlib.sha256().digest_size
_LOCKS = 16
_KEPT = 200
"""Scans that are kept on disk, the ones used last; a changed data set makes a new one."""

_findings: list[str] = []


class _Now(threading.local):
    """What the scan that runs in this thread may load instead: a checked pickle, or nothing."""

    content: bytes | None = None


_now = _Now()


def scan_findings() -> list[str]:
    """Return what the label scans of this process reported since the last call: skipped images, odd labels."""
    found, _findings[:] = list(dict.fromkeys(_findings)), []
    return found


def install() -> None:
    """Put our cache in the place of Ultralytics' own, for all its data sets."""
    import ultralytics.data.dataset as dataset

    scan: Callable[..., Any] = dataset.YOLODataset._load_or_scan_cache
    verify: Callable[..., Any] = dataset.ClassificationDataset.verify_images

    def load_or_scan(self: Any, cache_path: Path, cache_hash: str) -> Any:
        with _once(_place(cache_path, cache_hash, dataset.DATASET_CACHE_VERSION)):
            return scan(self, cache_path, cache_hash)

    def verify_images(self: Any) -> Any:
        cache_path = Path(self.root).with_suffix(".cache")
        cache_hash = dataset.get_hash([sample[0] for sample in self.samples] + self.base.classes)
        with _once(_place(cache_path, cache_hash, dataset.DATASET_CACHE_VERSION)):
            return verify(self)

    dataset.YOLODataset._load_or_scan_cache = load_or_scan
    dataset.ClassificationDataset.verify_images = verify_images
    dataset.load_dataset_cache_file, dataset.save_dataset_cache_file = _load, _save


def scan_labels(task: str, data: str, settings: Mapping[str, Any]) -> None:
    """Let Ultralytics read the data as for a training with these settings; its trainer then finds all scans kept.

    Raises what a training would: the data are not there, or not one image of them can be used.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build, dataset, utils

    _LOG.setLevel("ERROR")
    given = {name: settings[name] for name in ("fraction", "single_cls") if name in settings}  # nothing else matters
    args = get_cfg(overrides={**given, "task": task})
    found = (utils.check_cls_dataset if task == "classify" else utils.check_det_dataset)(data)
    if args.single_cls:
        found["names"] = {0: "item"}
    for mode in ("train", "val"):
        if task == "classify":
            dataset.ClassificationDataset(found[mode], args, augment=mode == "train", prefix=mode)
        else:
            build.build_yolo_dataset(args, found[mode], args.batch, found, mode=mode)
    scan_findings()  # every training tells them itself


def _place(path: Path, file_hash: str, version: str) -> Path:
    """Return our file for what Ultralytics would keep at ``path``.

    Args:
        path: Ultralytics' own name for the cache.
        file_hash: its hash over the names, sizes and times of all files of the list, and the arguments of the scan.
        version: of its format.
    """
    name = hashlib.sha256(b"\0".join((os.fsencode(path), file_hash.encode(), version.encode()))).hexdigest()
    return cache_folder() / "labels" / f"{name[:40]}.labels"


@contextmanager
def _once(place: Path) -> Iterator[None]:
    """Let :func:`_load` find what is kept at ``place``; where nothing whole is, one process at a time goes on."""
    content = _checked(place)
    if content is None:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock: Any = FileLock(place.parent / f".scan-{int(place.name[:8], 16) % _LOCKS:02d}.lock")
    else:
        lock = nullcontext()
    with lock:
        _now.content = content or _checked(place)
        try:
            yield
        finally:
            _now.content = None


def _checked(place: Path) -> bytes | None:
    """Return the pickle kept at ``place`` if its SHA-256 is right."""
    try:
        content = place.read_bytes()
        os.utime(place)
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    body = content[start:]
    return body if content[:start] == _MAGIC + hashlib.sha256(body).digest() else None


def _load(path: Path) -> dict[str, Any]:
    """Return the scan in place of ``ultralytics.data.utils.load_dataset_cache_file``, which reads ``path`` itself.

    Raises:
        FileNotFoundError: there is none; Ultralytics scans.
    """
    if _now.content is None:
        raise FileNotFoundError(f"no checked scan is kept for {path}")
    collecting = gc.isenabled()
    gc.disable()  # many small objects, none of them garbage; Ultralytics does the same
    try:
        found: dict[str, Any] = pickle.loads(_now.content)
    finally:
        if collecting:
            gc.enable()
    _findings.extend(str(message) for message in found.get("msgs", ()))
    return found


def _save(prefix: str, path: Path, x: dict[str, Any], version: str) -> None:
    """Keep a scan, in place of ``ultralytics.data.utils.save_dataset_cache_file``; a full disk is only told."""
    x["version"] = version
    _findings.extend(str(message) for message in x.get("msgs", ()))
    place = _place(path, str(x["hash"]), version)
    body = pickle.dumps(x, protocol=5)
    try:
        write_atomic(place, _MAGIC + hashlib.sha256(body).digest() + body)
        _forget_oldest(place.parent)
    except OSError as error:
        _LOG.warning(f"{prefix}the scanned labels could not be kept: {error}")


def _forget_oldest(folder: Path) -> None:
    kept = []
    for path in folder.glob("*.labels"):
        with suppress(FileNotFoundError):  # another process forgets too
            kept.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(kept, reverse=True)[_KEPT:]:
        path.unlink(missing_ok=True)
