"""The folder of decoded images: its size limit, eviction, and drafts that become complete files or nothing."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from yolosweep.storage.atomic_files import fsync_folder

__all__ = ["Draft", "Shelf", "usable_memory"]

_SUFFIX = ".pixels"
_LOCKS = 16
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Draft:
    """A file being written, with its disk space reserved."""

    path: Path
    descriptor: int

    def publish(self, target: Path) -> None:
        """Flush the content to disk and rename the file; from then on others may open it."""
        os.fsync(self.descriptor)
        self.path.replace(target)
        fsync_folder(target.parent)
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)


class Shelf:
    """A folder of large files that can be rebuilt. A file in use carries a shared ``flock``.

    The lock belongs to the open file, so forked loader workers share it and a process that dies releases it. Files
    without a lock may be evicted, the least recently used first (modification time = last use).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def file(self, key: str) -> Path:
        """Return the path of the file for ``key``, whether it exists or not."""
        return self.folder / f"{key[:40]}{_SUFFIX}"

    def building(self, key: str) -> FileLock:
        """Return the lock of the process that builds the file for ``key``."""
        return FileLock(self.folder / f".build-{int(key[:8], 16) % _LOCKS:02d}.lock")

    def limit(self, budget_mb: int | None) -> int:
        """Return how many bytes all files together may take.

        ``budget_mb`` MiB, else a quarter of the memory or of the disk; never more than nine tenths of the free disk.
        """
        reachable = self._used() + shutil.disk_usage(self.folder).free * 9 // 10
        wanted = min(usable_memory(), reachable) // 4 if budget_mb is None else budget_mb << 20
        return min(wanted, reachable)

    @contextmanager
    def draft(self, target: Path, size: int, limit: int) -> Iterator[Draft | None]:
        """Reserve ``size`` bytes of disk for a new file, evicting unused files; None if it does not fit.

        A draft that was not published is removed after the block.
        """
        taken = self._take(target, size, limit)
        try:
            yield taken
        finally:
            if taken is not None:
                taken.path.unlink(missing_ok=True)
                os.close(taken.descriptor)

    def _take(self, target: Path, size: int, limit: int) -> Draft | None:
        with FileLock(self.folder / ".budget.lock"):
            self._drop_dead_drafts()
            if not self._evict(size, limit):
                return None
            path = self.folder / f".{target.stem}.{secrets.token_hex(4)}.draft"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.posix_fallocate(descriptor, 0, size)
            except OSError:
                path.unlink()
                os.close(descriptor)
                raise
            return Draft(path, descriptor)

    def _evict(self, size: int, limit: int) -> bool:
        """Evict enough files for ``size`` more bytes, or none if that is not possible."""
        excess = self._used() + size - limit
        victims: list[tuple[Path, int]] = []
        try:
            for path in sorted(self.folder.glob(f"*{_SUFFIX}"), key=_last_use):
                if excess <= 0 or size > limit:
                    break
                descriptor = _claim(path)
                if descriptor is not None:
                    victims.append((path, descriptor))
                    excess -= os.fstat(descriptor).st_size
            if excess > 0:
                return False
            for path, _ in victims:
                path.unlink(missing_ok=True)
            return True
        finally:
            for _, descriptor in victims:
                os.close(descriptor)

    def _drop_dead_drafts(self) -> None:
        for path in self.folder.glob(".*.draft"):
            descriptor = _claim(path)
            if descriptor is not None:  # its builder is dead: the lock died with it
                path.unlink(missing_ok=True)
                os.close(descriptor)

    def _used(self) -> int:
        total = 0
        for pattern in (f"*{_SUFFIX}", ".*.draft"):
            for path in self.folder.glob(pattern):
                try:
                    total += path.stat().st_size
                except FileNotFoundError:  # renamed or evicted meanwhile
                    continue
        return total


def _claim(path: Path) -> int | None:
    """Return a descriptor that holds the file's exclusive lock, or None if the file is in use."""
    try:
        descriptor = os.open(path, os.O_RDWR)  # network file systems need a writable one for an exclusive lock
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _last_use(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def usable_memory() -> int:
    """Return the bytes of memory this process may use: the machine's, or the container's if that is less."""
    import psutil

    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return total
