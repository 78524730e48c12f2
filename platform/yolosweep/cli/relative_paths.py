"""Paths as they can be copied into a shell in the current folder."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

__all__ = ["from_here"]


def from_here(path: Path) -> str:
    """Return a path relative to the current folder if it is inside of it, else as it is; quoted where a shell needs it.

    Args:
        path: absolute.
    """
    return shlex.quote(os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path))
