"""``python -m yolosweep.cli.job_driver``: a sweep inside a Ray job. Started by ``submit`` and ``jobs/sweep.py``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from yolosweep.cli.console import notify, show_failure
from yolosweep.errors import Interrupted, YolosweepError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run or resume a sweep on the cluster this job belongs to; return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    options = _parse(argv)
    try:
        return _run(options)
    except YolosweepError as error:
        show_failure(error, as_json=options.json)
        return error.exit_code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a sweep as a Ray job.")
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT [KEY=VALUE...]", help="experiment file and overrides")
    parser.add_argument("--resume", metavar="RUN", help="resume this run folder; the words are overrides")
    parser.add_argument("--allow", action="append", default=[], help="differences and data findings to waive")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument("--doctor", action="store_true", help="check every node and run nothing")
    parser.add_argument("--job", default="", help="submission id of this job")
    parser.add_argument("--await-secrets", action="store_true", help="wait for the submitter's credentials")
    options = parser.parse_args(argv)
    if options.resume is None and not options.words and not options.doctor:
        parser.error("pass an experiment file, or --resume RUN")
    return options


def _run(options: argparse.Namespace) -> int:
    folder = Path.cwd()
    if options.doctor:
        from yolosweep.cli.doctor import examine_cluster

        source = Path(options.words[0]) if options.words else None
        return examine_cluster(source, options.words[1:], address=None, as_json=options.json)
    from yolosweep.workflows.job_preparation import check_versions, overrides_for_kept_data

    check_versions(folder / "versions.json", options.allow)
    if options.await_secrets:
        from yolosweep.cluster.secret_delivery import receive

        os.environ.update(receive(options.job, os.environ["RAY_ADDRESS"], notify))
    if options.resume is not None:
        from yolosweep.cli.run_and_resume import resume_sweep

        resume_sweep(options.resume, options.words, allow=options.allow, as_json=options.json)
        return 0
    from yolosweep.cli.run_and_resume import run_sweep

    source, overrides = Path(options.words[0]), options.words[1:]
    overrides += overrides_for_kept_data(source, overrides, folder, options.job)
    allow = [code for code in options.allow if code != "versions"]
    run_sweep(source, overrides, allow=allow, as_json=options.json)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted("stopped on request; all recorded results are kept", signal_number=number)


if __name__ == "__main__":
    sys.exit(main())
