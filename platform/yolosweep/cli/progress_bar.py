"""How far a long reading is: a line that renews itself on a terminal, one now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

__all__ = ["progress"]

_EVERY_S = {True: 0.2, False: 10.0}
"""Seconds between two lines, on a terminal and elsewhere; what takes less says nothing."""
_MANY = 40_000


def progress(what: str, *, in_bytes: bool = False) -> Callable[[int, int], None]:
    """Return a function that is told how many of how many files, or bytes, are done, and shows it as text."""
    on_terminal = sys.stderr.isatty()
    started = told = time.monotonic()
    shown = False

    def tell(done: int, of: int) -> None:
        nonlocal told, shown
        now = time.monotonic()
        if done < of and now - told >= _EVERY_S[on_terminal]:
            left = f", about {(now - started) * (of - done) / done:.0f} s left" if done else ""
            amount = f"{done >> 20} of {of >> 20} MiB" if in_bytes else f"{done} of {of} files"
            line = f"{what}: {amount}{left}"
            print(
                f"\r{line:<79}" if on_terminal else line, end="" if on_terminal else "\n", file=sys.stderr, flush=True
            )
            told, shown = now, True
        elif done >= of and shown and on_terminal:
            print(f"\r{'':<79}\r", end="", file=sys.stderr, flush=True)
        if done >= of >= _MANY and not in_bytes:
            print(f"{what}: {of} files read; comparing the pictures takes minutes the first time", file=sys.stderr)

    return tell
