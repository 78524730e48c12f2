"""``python -m yolosweep.tracking RUN --sink NAME``: the mirror process, started by ``start_mirror`` and ``push``."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from filelock import FileLock, Timeout

from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.tracking.mirror import BUSY
from yolosweep.tracking.sink_registry import SINKS
from yolosweep.tracking.supervisor import supervise


def main() -> int:
    """Mirror one run folder to one sink and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m yolosweep.tracking", description="Send a run to a tracker.")
    parser.add_argument("run", help="run folder")
    parser.add_argument("--sink", choices=SINKS, required=True, help="tracker to send to")
    parser.add_argument("--follow", action="store_true", help="wait for a sweep that is running")
    parser.add_argument("--parent", type=int, help="process that runs the sweep")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to wait for another mirror; -1: no limit")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _exit)
    try:
        folder = RunFolder.open(options.run)
        lock = folder.mirror(f".{options.sink}.lock")
        lock.parent.mkdir(exist_ok=True)
        if not options.follow:  # before the fork, which the client of an object storage does not survive
            folder.bring_below(folder.winner)
        with FileLock(lock, timeout=options.wait):
            return supervise(folder, SINKS[options.sink], follow=options.follow, parent=options.parent)
    except Timeout:
        return BUSY
    except YolosweepError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
