"""``python -m yolosweep.tracking RUN``: the mirror process. Started by ``start_mirror`` and ``push``, not by people."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from filelock import FileLock, Timeout

from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.tracking.mirror import BUSY
from yolosweep.tracking.supervisor import supervise


def main() -> int:
    """Mirror one run folder and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m yolosweep.tracking", description="Send a run folder to W&B.")
    parser.add_argument("run", help="run folder")
    parser.add_argument("--follow", action="store_true", help="wait for a sweep that is running")
    parser.add_argument("--parent", type=int, help="process that runs the sweep")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to wait for another mirror; -1: for ever")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    try:
        folder = RunFolder.open(asked.run)
        lock = folder.mirror(".lock")
        lock.parent.mkdir(exist_ok=True)
        if not asked.follow:  # before this process forks: the client of an object storage does not live through that
            folder.bring_below(folder.winner)
        with FileLock(lock, timeout=asked.wait):
            return supervise(folder, follow=asked.follow, parent=asked.parent)
    except Timeout:
        return BUSY
    except YolosweepError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
