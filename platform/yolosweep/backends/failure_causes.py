"""What an error of a training means: its ending, and whether to try again."""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from yolosweep.errors import DataError, RunFolderError, TrainingError
from yolosweep.records import Cause, Ending

__all__ = ["End", "cause_of", "classified", "last_line"]

_STORAGE = frozenset((errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.ESTALE))
"""Error numbers that mean the run folder, not the training, has a problem."""

_MEMORY = re.compile(
    r"out of memory|can(no|')t allocate memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED|unable to find an engine", re.IGNORECASE
)
"""Messages of torch and its libraries if memory ran out; Ultralytics lowers the batch for these too."""

_CONFIG = re.compile(r"froze the entire model|final batch=1|does not exist|no such file", re.IGNORECASE)
"""Messages of Ultralytics about settings, besides the types of error it raises for them."""

_DATA = re.compile(r"dataset|images? (found|not found)|no labels|image not found|label", re.IGNORECASE)
"""Messages of Ultralytics about images and labels it cannot use."""


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
        begun: whether the first epoch had started; earlier errors come from settings or data.
    """
    text = last_line(error)
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        return End(Ending.OOM, f"out of memory at batch {batch}; lower batch or imgsz", Cause.RESOURCE, text)
    return End(Ending.FAILED, f"{type(error).__name__}: {text}", cause_of(error, begun=begun), text)


def cause_of(error: Exception, *, begun: bool) -> Cause:
    """Return why a training failed; see :func:`classified`."""
    inner: BaseException | None = error
    while inner is not None:  # Ultralytics wraps whatever happens to a data set in a RuntimeError
        if isinstance(inner, RunFolderError) or (isinstance(inner, OSError) and inner.errno in _STORAGE):
            return Cause.STORAGE
        inner = inner.__cause__
    if isinstance(error, TrainingError):
        return Cause.CONFIG
    if isinstance(error, DataError) or (isinstance(error, FileNotFoundError) and _DATA.search(str(error))):
        return Cause.DATA
    if begun:
        return Cause.UNKNOWN
    if isinstance(error, (FileNotFoundError, RuntimeError, ValueError)) and _DATA.search(str(error)):
        return Cause.DATA
    of_settings = isinstance(error, (FileNotFoundError, RuntimeError)) and _CONFIG.search(str(error))
    if of_settings or isinstance(error, (TypeError, ValueError, SyntaxError, KeyError)):
        return Cause.CONFIG
    return Cause.UNKNOWN


def last_line(error: BaseException) -> str:
    """Return the most informative line of an exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    chosen = 0 if lines and lines[0].startswith("CUDA error") else -1  # advice on debugging follows
    return (lines[chosen] if lines else type(error).__name__)[:500]
