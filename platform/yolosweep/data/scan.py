"""Reading every image and label of a dataset: in several processes, once for every content, in bounded memory."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from queue import SimpleQueue

from yolosweep.data.items import LabelFile, Labels, Layout, Picture, Pictures
from yolosweep.data.labels import MISSING, MOST_BYTES, read_labels
from yolosweep.data.pictures import read_picture
from yolosweep.durable import cache_folder

__all__ = ["scan"]

Tell = Callable[[int, int], None]

_FORMAT = 1
"""Raised when what is known of a picture, or how it is found out, changes."""
_CHUNK = 32
_FEW = 256
"""Up to so many images no processes are started."""
_KEPT = 2_000_000
"""Images the cache remembers, the ones used last: about 2 GB at most."""


def scan(
    layout: Layout, *, tell: Tell | None = None, workers: int | None = None, trust_times: bool = True
) -> tuple[Pictures, Labels]:
    """Read all images and label files of a dataset.

    Args:
        layout: where they are.
        tell: called now and then with the number of files read, and of all.
        workers: processes; all cores where it is None.
        trust_times: False reads images again whose size and times have not changed since the last time.

    Returns:
        What is known of every image, and of every label file that is there or should be.
    """
    items = [item for items in layout.splits.values() for item in items]
    images = list(dict.fromkeys(item.image for item in items))
    places = list(dict.fromkeys(item.label for item in items if item.label is not None))
    total = len(images) + len(places)
    pictures = _pictures(images, lambda done: tell(done, total) if tell else None, workers, trust_times)
    kpt_shape = layout.extra.get("kpt_shape")
    labels: dict[Path, LabelFile] = {}
    for number, place in enumerate(places):
        labels[place] = _label(place, layout, kpt_shape)
        if tell and not number % 500:
            tell(len(images) + number, total)
    if tell:
        tell(total, total)
    return pictures, labels


def _label(place: Path, layout: Layout, kpt_shape: Sequence[int] | None) -> LabelFile:
    try:
        if not place.is_file():
            return MISSING
        with place.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError:
        return MISSING
    return read_labels(content, layout.task, layout.names, kpt_shape)


def _pictures(images: list[Path], done: Callable[[int], None], workers: int | None, trust: bool) -> dict[Path, Picture]:
    cache = _Cache()
    known = cache.known(images) if trust else {}
    new = [image for image in images if image not in known]
    fresh: dict[Path, Picture] = {}
    for image, picture in _read(new, workers):
        fresh[image] = picture
        if len(fresh) % _CHUNK == 0:
            done(len(known) + len(fresh))
        if len(fresh) % 4096 == 0:  # what was read is not lost when this is interrupted
            cache.keep(fresh, list(fresh)[-4096:])
    cache.keep(fresh, list(fresh))
    return {image: known.get(image) or fresh[image] for image in images}


def _read(images: list[Path], workers: int | None) -> Iterator[tuple[Path, Picture]]:
    """Yield what is known of images, in any order."""
    processes = min(workers or os.cpu_count() or 1, len(images) // _CHUNK)
    if len(images) <= _FEW or processes < 2:
        yield from ((image, read_picture(image)) for image in images)
        return
    chunks: SimpleQueue[list[Path] | None] = SimpleQueue()
    answers: SimpleQueue[tuple[Path, Picture] | None] = SimpleQueue()
    for at in range(0, len(images), _CHUNK):
        chunks.put(images[at : at + _CHUNK])
    for _ in range(processes):
        chunks.put(None)
    readers = [_Reader(chunks, answers) for _ in range(processes)]
    try:
        for reader in readers:
            reader.start()
        for _ in readers:
            yield from iter(answers.get, None)
    finally:
        for reader in readers:
            reader.stop()


class _Reader(threading.Thread):
    """Lets a process of its own read images: decoders hold Python's lock too long, and some crash on what is hostile.

    ``multiprocessing`` would import the user's own program in every process. Whoever dies over an image is replaced,
    and the image is called unreadable.
    """

    def __init__(
        self, chunks: SimpleQueue[list[Path] | None], answers: SimpleQueue[tuple[Path, Picture] | None]
    ) -> None:
        super().__init__(name="image-reader", daemon=True)
        self._chunks, self._answers = chunks, answers
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def stop(self) -> None:
        """End its process; what it has not read is not read any more."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def run(self) -> None:
        """Read chunk after chunk."""
        try:
            for chunk in iter(self._chunks.get, None):
                left = deque(chunk)
                while left and not self._stopped:
                    self._ask(left)
        finally:
            self._answers.put(None)
            if self._process is not None:
                self._process.communicate()

    def _ask(self, left: deque[Path]) -> None:
        """Take answers until there are all, or the process is gone."""
        command = [sys.executable, "-m", "yolosweep.data.pictures"]
        process = self._process or subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._process = process
        assert process.stdin is not None, "asked for"
        assert process.stdout is not None, "asked for"
        with suppress(BrokenPipeError):
            process.stdin.write("".join(f"{json.dumps(str(image))}\n" for image in left))
            process.stdin.flush()
        while left and (line := process.stdout.readline()).endswith("\n"):
            self._answers.put((left.popleft(), Picture(*json.loads(line))))
        if left:
            self._process = None
            with suppress(BrokenPipeError):
                process.communicate()
            died = Picture("", fault="image-unreadable", detail=f"decoding it ends the process ({process.returncode})")
            self._answers.put((left.popleft(), died))


class _Cache:
    """What is known of images from earlier scans, by path, size and times; without it everything works, only slower."""

    def __init__(self) -> None:
        self._file = cache_folder() / "scan" / f"pictures-{_FORMAT}.sqlite"

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        link = sqlite3.connect(self._file, timeout=10)
        link.execute("PRAGMA journal_mode=WAL")
        link.execute("PRAGMA synchronous=OFF")
        link.execute("CREATE TABLE IF NOT EXISTS pictures (path BLOB PRIMARY KEY, stat TEXT, facts TEXT)")
        return link

    def known(self, images: Iterable[Path]) -> dict[Path, Picture]:
        """Return what is known of files that have not changed."""
        found: dict[Path, Picture] = {}
        query = "SELECT stat, facts FROM pictures WHERE path = ?"
        try:
            if not self._file.exists():
                return {}
            with closing(self._open()) as link:
                for image in images:
                    row = link.execute(query, (os.fsencode(image),)).fetchone()
                    if row is not None and row[0] == _state(image):
                        found[image] = Picture(*json.loads(row[1]))
        except (OSError, sqlite3.OperationalError):
            return {}
        except (sqlite3.Error, ValueError, TypeError):
            self._forget()
            return {}
        return found

    def keep(self, pictures: dict[Path, Picture], images: Sequence[Path]) -> None:
        """Remember what was found out; a full disk, or another process that writes, is no fault."""
        if not images:
            return
        rows = [
            (os.fsencode(image), _state(image), json.dumps(pictures[image]))
            for image in images
            if pictures[image].sha256  # what could not be opened may be there the next time
        ]
        with suppress(OSError, sqlite3.Error), closing(self._open()) as link, link:
            link.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", rows)
            link.execute(
                "DELETE FROM pictures WHERE rowid <= (SELECT MAX(rowid) FROM pictures) - ?",
                (_KEPT,),
            )

    def _forget(self) -> None:
        """Remove a damaged cache."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def _state(image: Path) -> str:
    """Return what changes when a file does."""
    try:
        found = image.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
