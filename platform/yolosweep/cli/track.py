"""``yolosweep track push``: bring W&B up to date with a ledger."""

from __future__ import annotations

import sys

from yolosweep.ledger import RunFolder
from yolosweep.tracking import push

__all__ = ["push_run"]


def push_run(place: str) -> int:
    """Send what is missing, tell what is there, and return the exit code (1 when not everything arrived).

    Raises:
        RunFolderError: not a run folder.
        UsageError: there is no API key.
    """
    result = push(RunFolder.open(place))
    where = f" at {result.url}" if result.url else ""
    print(f"{result.runs} runs are complete{where}")
    if result.warning:
        print(f"warning: {result.warning}", file=sys.stderr)
        return 1
    return 0
