"""What file names say about a recording: when it was taken, and by which camera.

Capture times in EXIF are not used: exports of labelling tools drop them.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

__all__ = ["camera_of", "capture_time", "position"]

_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"
    r"(?:[-_T .]{0,3}([01]\d|2[0-3])[-_.:h]?([0-5]\d)(?:[-_.:m]?([0-5]\d))?)?(?!\d)"
)
_NUMBER = re.compile(r"\d{1,18}")
_COPY = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}")


def capture_time(file: Path) -> datetime | None:
    """Return the date, and the time if there is one, in a file's name; None without a date."""
    match = _TIME.search(file.stem)
    if match is None:
        return None
    try:
        return datetime(*(int(part) for part in match.groups() if part))  # type: ignore[arg-type]
    except ValueError:
        return None


def camera_of(file: Path) -> str:
    """Return a file's name and folder without what differs between recordings of one camera: the time or a counter."""
    stem = copy[1] if (copy := _COPY.fullmatch(file.stem)) else file.stem
    match = _TIME.search(stem) or max(
        _NUMBER.finditer(stem), key=lambda number: (len(number[0]), number.start()), default=None
    )
    rest = stem if match is None else f"{stem[: match.start()]}*{stem[match.end() :]}"
    return f"{file.parent}/{rest}"


def position(file: Path) -> tuple[float, ...] | None:
    """Return what orders the recordings of one camera: seconds, or the counter in the name; None without a number."""
    time = capture_time(file)
    if time is not None:
        return ((time - datetime(1970, 1, 1)).total_seconds(), *(float(n) for n in _NUMBER.findall(file.stem)[-1:]))
    counter = max(_NUMBER.finditer(file.stem), key=lambda number: (len(number[0]), number.start()), default=None)
    return None if counter is None else (float(counter[0]),)
