"""Label scans in our own cache folder: made once per node and list of files, verified before use.

Ultralytics keeps one pickle beside the user's labels, named after their folder. So two lists over the same folder
(another ``fraction``, another split) overwrite each other, trials that start together all scan, and anybody with write
access to the data set can make a training run their code. Here no file beside the data is read or written.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["load", "load_or_scan", "save", "scan_findings", "scan_labels", "verify_images"]

_LOG = logging.getLogger("ultralytics")
_MAGIC = b"yolosweep-labels-1\n"
_DIGEST = hashlib.sha256().digest_size
_LOCKS = 16
_KEPT = 200
"""Most recently used scans kept on disk; a changed data set makes a new one."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_UNTRUE = ("corrupt JPEG restored and saved", "JPEG without an end marker, read as far as it goes")
"""What Ultralytics reports of a JPEG that it rewrites; here it is not rewritten (``patches.py``)."""

_findings: list[str] = []


class _Now(threading.local):
    """What the scan of this thread may load: a verified pickle, or nothing."""

    content: bytes | None = None


_now = _Now()


def scan_findings() -> list[str]:
    """Return what the label scans of this process reported since the last call: skipped images, unusual labels."""
    found, _findings[:] = list(dict.fromkeys(_findings)), []
    return [_ANSI.sub("", line).replace(*_UNTRUE) for line in found]


def load_or_scan(scan: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``YOLODataset._load_or_scan_cache`` over our cache."""

    def load_or_scan_cache(self: Any, cache_path: Path, cache_hash: str) -> Any:
        from ultralytics.data.dataset import DATASET_CACHE_VERSION

        with _once(_place(cache_path, cache_hash, DATASET_CACHE_VERSION)):
            return scan(self, cache_path, cache_hash)

    return load_or_scan_cache


def verify_images(verify: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``ClassificationDataset.verify_images`` over our cache."""

    def verify_all(self: Any) -> Any:
        from ultralytics.data.dataset import DATASET_CACHE_VERSION, get_hash

        cache_hash = get_hash([sample[0] for sample in self.samples] + self.base.classes)
        with _once(_place(Path(self.root).with_suffix(".cache"), cache_hash, DATASET_CACHE_VERSION)):
            return verify(self)

    return verify_all


def scan_labels(task: str, data: str, settings: Mapping[str, Any]) -> None:
    """Scan the data as a training with these settings would, so that its trainer finds the scans.

    Raises what a training would: the data are missing, or no image can be used.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build, dataset, utils

    _LOG.setLevel("ERROR")
    given = {name: settings[name] for name in ("fraction", "single_cls") if name in settings}  # nothing else matters
    args = get_cfg(overrides={**given, "task": task})
    from_folders = TASKS[task].from_folders
    found = (utils.check_cls_dataset if from_folders else utils.check_det_dataset)(data)
    if args.single_cls:
        found["names"] = {0: "item"}
    for mode in ("train", "val"):
        if from_folders:
            dataset.ClassificationDataset(found[mode], args, augment=mode == "train", prefix=mode)
        else:
            build.build_yolo_dataset(args, found[mode], args.batch, found, mode=mode)
    scan_findings()  # every training reports them itself


def _place(path: Path, file_hash: str, version: str) -> Path:
    """Return our file for the cache that Ultralytics would keep at ``path``.

    Args:
        path: Ultralytics' own name for the cache.
        file_hash: its hash over the names, sizes and times of all files of the list, and the arguments of the scan.
        version: of its format.
    """
    name = hashlib.sha256(b"\0".join((os.fsencode(path), file_hash.encode(), version.encode()))).hexdigest()
    return cache_folder() / "labels" / f"{name[:40]}.labels"


@contextmanager
def _once(place: Path) -> Iterator[None]:
    """Let :func:`load` find what is kept at ``place``; where nothing intact is, one process at a time continues."""
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
    """Return the pickle kept at ``place`` if its SHA-256 matches."""
    try:
        content = place.read_bytes()
        os.utime(place)
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    body = content[start:]
    return body if content[:start] == _MAGIC + hashlib.sha256(body).digest() else None


def load(path: Path) -> dict[str, Any]:
    """Return the scan in place of ``ultralytics.data.utils.load_dataset_cache_file``, which reads ``path`` itself.

    Raises:
        FileNotFoundError: there is none, so Ultralytics scans.
    """
    if _now.content is None:
        raise FileNotFoundError(f"no verified scan is kept for {path}")
    collecting = gc.isenabled()
    gc.disable()  # many small objects, none of them garbage; Ultralytics does the same
    try:
        found: dict[str, Any] = pickle.loads(_now.content)
    finally:
        if collecting:
            gc.enable()
    _findings.extend(str(message) for message in found.get("msgs", ()))
    return found


def save(prefix: str, path: Path, x: dict[str, Any], version: str) -> None:
    """Keep a scan, in place of ``ultralytics.data.utils.save_dataset_cache_file``; a full disk is only logged."""
    x["version"] = version
    _findings.extend(str(message) for message in x.get("msgs", ()))
    place = _place(path, str(x["hash"]), version)
    body = pickle.dumps(x, protocol=5)
    try:
        write_atomic(place, _MAGIC + hashlib.sha256(body).digest() + body)
        _forget_oldest(place.parent)
    except OSError as error:
        _LOG.warning(f"{prefix}the scanned labels could not be stored: {error}")


def _forget_oldest(folder: Path) -> None:
    kept = []
    for path in folder.glob("*.labels"):
        with suppress(FileNotFoundError):  # another process forgets too
            kept.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(kept, reverse=True)[_KEPT:]:
        path.unlink(missing_ok=True)
