"""``python -m yolosweep.cli.job_driver``: a sweep inside a Ray job. Started by ``submit`` and ``jobs/sweep.py``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from yolosweep.cli.console import notify, show_failure
from yolosweep.cluster.versions import releases, versions
from yolosweep.errors import ClusterError, ExperimentError, Interrupted, YolosweepError

__all__ = ["main", "other_versions"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run or resume a sweep on the cluster this job belongs to; return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(_parse(argv))
    except YolosweepError as error:
        show_failure(error)
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
    _check_versions(folder / "versions.json", options.allow)
    if options.await_secrets:
        from yolosweep.cluster.secret_delivery import receive

        os.environ.update(receive(options.job, os.environ["RAY_ADDRESS"], notify))
    if options.resume is not None:
        from yolosweep.cli.sweep import resume_sweep

        resume_sweep(options.resume, options.words, allow=options.allow, as_json=options.json)
        return 0
    from yolosweep.cli.sweep import run_sweep

    overrides = [*options.words[1:], *_kept_data(Path(options.words[0]), options.words[1:], folder, options.job)]
    allow = [code for code in options.allow if code != "versions"]
    run_sweep(Path(options.words[0]), overrides, allow=allow, as_json=options.json)
    return 0


def _kept_data(source: Path, overrides: Sequence[str], folder: Path, job: str) -> list[str]:
    """Copy the job's data to the storage, where they outlive the job; return the overrides that name them.

    Raises:
        ExperimentError: the experiment is invalid, or its storage would not outlive the job.
    """
    from yolosweep.cluster.job_package import keep_data, storage_fault
    from yolosweep.experiment import load_experiment, override_of

    exp = load_experiment(source, overrides)
    fault = storage_fault(exp.storage)
    if fault is not None:
        raise ExperimentError(source.name, [fault])
    data = keep_data(exp.data, folder, exp.storage, job)
    return [] if data == exp.data else [override_of("data", data)]


def _check_versions(file: Path, allow: Sequence[str]) -> None:
    """Compare the submitter's package versions with those in this job.

    Raises:
        ClusterError: some differ; the message lists all of them.
    """
    if not file.is_file() or "versions" in allow:
        return
    wrong = other_versions(json.loads(file.read_text()), versions())
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise ClusterError(
            f"the cluster and the submitter have different package versions:\n{lines}\n"
            "install the same versions on every node, or continue anyway with --allow versions"
        )


def other_versions(sent: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for every package that differs: not yolosweep, which travels; for Python, the minor release."""
    sent, here = releases(sent), releases(here)

    def release(found: Mapping[str, str], package: str) -> str:
        version = found.get(package, "not installed")
        return ".".join(version.split(".")[:2]) if package == "python" else version

    return [
        f"{package} is {release(here, package)} here and {release(sent, package)} at the submitter"
        for package in sorted({*sent, *here} - {"yolosweep"})
        if release(here, package) != release(sent, package)
    ]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted("stopped on request; all recorded results are kept", signal_number=number)


if __name__ == "__main__":
    sys.exit(main())
