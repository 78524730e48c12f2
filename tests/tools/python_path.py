"""The module path of processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ahead_of_ours"]


def ahead_of_ours(folder: Path) -> str:
    """Return a PYTHONPATH with a folder in front of the path that the tests themselves run with."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
