"""Progress of a long read: a line that is overwritten on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from yolosweep.cli.console import is_terminal, notify, overwrite

__all__ = ["progress"]

_EVERY_S = {True: 0.2, False: 10.0}
"""Seconds between two lines, on a terminal and elsewhere; a faster read prints nothing."""
_MANY = 40_000


def progress(
    what: str, *, in_bytes: bool = False, show: Callable[[str], None] = overwrite
) -> Callable[[int, int], None]:
    """Return a function that takes how many files, or bytes, are done, and of how many, and shows the progress.

    Args:
        what: what is read.
        in_bytes: whether bytes are counted.
        show: replaces the progress shown on a terminal; an empty text removes it.
    """
    on_terminal = is_terminal(sys.stderr)
    started = last = time.monotonic()
    visible, before = False, 0

    def update(done: int, of: int) -> None:
        nonlocal started, last, visible, before
        now = time.monotonic()
        if not before:  # until then, models were loaded
            started, before = now, done
        if done < of and now - last >= _EVERY_S[on_terminal]:
            rest = (now - started) * (of - done) / (done - before) if done > before else 0.0
            left = f", about {rest:.0f} s left" if rest else ""
            amount = f"{done >> 20} of {of >> 20} MiB" if in_bytes else f"{done} of {of} files"
            (show if on_terminal else notify)(f"{what}: {amount}{left}")
            last, visible = now, True
        elif done >= of and visible and on_terminal:
            show("")
        if done >= of >= _MANY and not in_bytes:
            notify(f"{what}: {of} files read; the first comparison of the images takes minutes")

    return update
