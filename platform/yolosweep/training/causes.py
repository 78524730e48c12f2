"""What an error of a training means: how it ended, and whether trying again makes sense."""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from yolosweep.errors import DataError, RunFolderError, TrainingError
from yolosweep.records import Cause, Ending

__all__ = ["End", "cause_of", "classified", "last_line"]

_STORAGE = frozenset((errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.ESTALE))
"""What the system says where the run folder, not the training, is in trouble."""

_DATA = re.compile(r"dataset|images? (found|not found)|no labels|image not found|label", re.IGNORECASE)
"""What Ultralytics says of images and labels it cannot use."""


class End(NamedTuple):
    """How a training ended."""

    ending: Ending
    reason: str
    cause: Cause | None = None
    error: str | None = None
    """Last line of the exception, if there was one."""


def classified(error: Exception, *, batch: int, begun: bool) -> End:
    """Return what an exception of a training means.

    Args:
        error: what was raised.
        batch: the batch it ran with.
        begun: whether the first epoch had begun: before, errors come from settings or data.
    """
    text = last_line(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return End(Ending.OOM, f"out of memory at batch {batch}; lower batch or imgsz", Cause.RESOURCE, text)
    return End(Ending.FAILED, f"{type(error).__name__}: {text}", cause_of(error, begun=begun), text)


def cause_of(error: Exception, *, begun: bool) -> Cause:
    """Return why a training failed; see :func:`classified`."""
    if isinstance(error, RunFolderError) or (isinstance(error, OSError) and error.errno in _STORAGE):
        return Cause.STORAGE
    if isinstance(error, TrainingError):
        return Cause.CONFIG
    if isinstance(error, DataError) or (isinstance(error, FileNotFoundError) and _DATA.search(str(error))):
        return Cause.DATA
    if begun:
        return Cause.UNKNOWN
    if isinstance(error, (FileNotFoundError, RuntimeError, ValueError)) and _DATA.search(str(error)):
        return Cause.DATA
    return Cause.CONFIG if isinstance(error, (TypeError, ValueError, SyntaxError, KeyError)) else Cause.UNKNOWN


def last_line(error: BaseException) -> str:
    """Return the last telling line of an exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:500]
