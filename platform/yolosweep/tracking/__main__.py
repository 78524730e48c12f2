"""``python -m yolosweep.tracking RUN``: the mirror process. Started by ``start_mirror`` and ``push``, not by people."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.tracking.choice import server
from yolosweep.tracking.follow import Outbox, mirror
from yolosweep.tracking.mirror import BUSY
from yolosweep.tracking.wandb_runs import Runs, isolate


def main() -> int:
    """Mirror one run folder and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m yolosweep.tracking", description="Send a run folder to W&B.")
    parser.add_argument("run", help="run folder")
    parser.add_argument("--follow", action="store_true", help="wait for a sweep that is running")
    parser.add_argument("--parent", type=int, help="process that runs the sweep")
    parser.add_argument(
        "--wait", type=float, default=10.0, help="seconds to wait for another mirror of this run; -1: for ever"
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    scratch = Path(tempfile.mkdtemp(prefix="yolosweep-wandb-"))
    try:
        folder = RunFolder.open(asked.run)
        folder.mirror.mkdir(exist_ok=True)
        with FileLock(folder.mirror / ".lock", timeout=asked.wait):
            isolate(os.environ, scratch)
            outbox = Outbox(
                folder, server(os.environ), partial(Runs, folder=folder, scratch=scratch, follow=asked.follow)
            )
            code = mirror(folder, outbox, follow=asked.follow, parent=asked.parent)
            outbox.close()
            return code
    except Timeout:
        return BUSY
    except YolosweepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 2
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # The SDK's exit hook would wait for the network once more; what did not arrive is not marked as sent.
        os._exit(code)
