"""Temporary folders of processes that may be killed: each is locked by its process, and the next process clears it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["clear_dead_scratch", "scratch_folder"]

_PREFIX = "yolosweep-"
_LOCK = ".in-use"


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Yield a new temporary folder that is removed after the ``with`` block, or by others after this process died.

    Args:
        purpose: part of its name, for people who look into the temporary folder.
    """
    clear_dead_scratch()
    draft = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}{purpose}-"))
    # flock and not a PID: processes of other containers may share the folder. Forked children share the lock.
    lock = os.open(draft / _LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = draft.rename(draft.with_name(draft.name[1:]))  # others see it only once it is locked
    try:
        files = folder / "files"
        files.mkdir()
        yield files
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear_dead_scratch() -> None:
    """Remove the scratch folders of this user whose processes are gone; no folder without a lock file is touched."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, or gone meanwhile
            about = folder.lstat()
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():
                _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
