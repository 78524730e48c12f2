"""``yolosweep track push``: bring a run's trackers up to date with its ledger."""

from __future__ import annotations

import sys

from yolosweep.ledger import RunFolder
from yolosweep.tracking import push, sinks_of

__all__ = ["push_run"]


def push_run(place: str) -> int:
    """Send what is missing, print what has arrived, and return the exit code (1 when not everything arrived).

    Raises:
        RunFolderError: not a run folder.
        UsageError: credentials are missing.
    """
    folder = RunFolder.open(place)
    results = [push(folder, sink) for sink in sinks_of(folder)]
    for result in results:
        where = f" at {result.url}" if result.url else ""
        print(f"{result.sink}: {result.runs} runs are complete{where}")
        if result.warning:
            print(f"warning: {result.warning}", file=sys.stderr)
    return 1 if any(result.warning for result in results) else 0
