"""What the winner's pictures are called at trackers, and which are sent."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from yolosweep.records import FileRef

__all__ = ["picture_key"]

_WORST = re.compile(r"(\d{2})-(val|test)-")
_WORST_SENT = 20
"""Of each split, the worst images that are sent; each is a panel of its own, because their sizes differ."""


def picture_key(file: FileRef) -> str | None:
    """Return what a picture of the winner is logged as: plots by split and name, worst images by split and rank.

    None where it is not sent: it is not among the worst, or no image.
    """
    name = PurePosixPath(file.path)
    if name.suffix not in (".png", ".jpg"):
        return None
    if name.parent.name == "worst":
        found = _WORST.match(name.name)
        return f"worst/{found[2]}-{found[1]}" if found and int(found[1]) <= _WORST_SENT else None
    return f"{name.parent.name}/{name.stem}"
