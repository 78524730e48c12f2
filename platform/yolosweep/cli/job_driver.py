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

from yolosweep.cluster.versions import releases, versions
from yolosweep.errors import ClusterError, ExperimentError, Interrupted, YolosweepError

__all__ = ["main", "other_versions"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run or resume a sweep on the cluster this job belongs to; return the exit code."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        return _run(_parsed(argv))
    except YolosweepError as error:
        print(error if isinstance(error, Interrupted) else f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a sweep as a Ray job.")
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT [KEY=VALUE...]", help="experiment file and overrides")
    parser.add_argument("--resume", metavar="RUN", help="take up this run folder instead; the words are overrides")
    parser.add_argument("--allow", action="append", default=[], help="what may differ; codes of errors in the data")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument("--doctor", action="store_true", help="look at every node and run nothing")
    parser.add_argument("--job", default="", help="submission id of this job")
    parser.add_argument("--await-secrets", action="store_true", help="the submitter hands over credentials")
    asked = parser.parse_args(argv)
    if asked.resume is None and not asked.words and not asked.doctor:
        parser.error("name an experiment file, or --resume RUN")
    return asked


def _run(asked: argparse.Namespace) -> int:
    folder = Path.cwd()
    if asked.doctor:
        from yolosweep.cli.doctor import examine_cluster

        source = Path(asked.words[0]) if asked.words else None
        return examine_cluster(source, asked.words[1:], address=None, as_json=asked.json)
    _check_versions(folder / "versions.json", asked.allow)
    if asked.await_secrets:
        from yolosweep.cluster.secret_delivery import receive

        os.environ.update(receive(asked.job, os.environ["RAY_ADDRESS"], _say))
    if asked.resume is not None:
        from yolosweep.cli.sweep import resume_sweep

        return resume_sweep(asked.resume, asked.words, allow=asked.allow, as_json=asked.json)
    from yolosweep.cli.sweep import run_sweep

    overrides = [*asked.words[1:], *_placed(Path(asked.words[0]), asked.words[1:], folder, asked.job)]
    allow = [code for code in asked.allow if code != "versions"]
    return run_sweep(Path(asked.words[0]), overrides, allow=allow, as_json=asked.json)


def _placed(source: Path, overrides: Sequence[str], folder: Path, job: str) -> list[str]:
    """Return overrides that name the data where they outlive the job.

    Raises:
        ExperimentError: the experiment is wrong, or its storage would not outlive the job.
    """
    from yolosweep.cluster.job_package import place_data, storage_fault
    from yolosweep.experiment import load_experiment

    exp = load_experiment(source, overrides)
    fault = storage_fault(exp.storage)
    if fault is not None:
        raise ExperimentError(source.name, [fault])
    data = place_data(exp.data, folder, exp.storage, job)
    return [] if data == exp.data else [f"data={json.dumps(data)}"]


def _check_versions(file: Path, allow: Sequence[str]) -> None:
    """Compare the submitter's packages with those here.

    Raises:
        ClusterError: some differ; all are named.
    """
    if not file.is_file() or "versions" in allow:
        return
    wrong = other_versions(json.loads(file.read_text()), versions())
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise ClusterError(
            f"the cluster has other packages than the submitter:\n{lines}\n"
            "install the same on every node, or go on with --allow versions"
        )


def other_versions(sent: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for every package that differs; yolosweep itself travels, of Python the minor release counts."""
    sent, here = releases(sent), releases(here)

    def shown(found: Mapping[str, str], package: str) -> str:
        version = found.get(package, "not installed")
        return ".".join(version.split(".")[:2]) if package == "python" else version

    return [
        f"{package} is {shown(here, package)} here and {shown(sent, package)} at the submitter"
        for package in sorted({*sent, *here} - {"yolosweep"})
        if shown(here, package) != shown(sent, package)
    ]


def _leave(number: int, frame: FrameType | None) -> None:
    raise Interrupted("stopped on request; what was recorded is kept", signal_number=number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
