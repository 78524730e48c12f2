"""What a sweep inside a Ray job does first: compare versions, and keep the job's data where they outlive it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from yolosweep.cluster.job_package import keep_data, storage_fault
from yolosweep.cluster.versions import releases, versions
from yolosweep.errors import ClusterError, ExperimentError
from yolosweep.experiment import load_experiment, override_of

__all__ = ["check_versions", "other_versions", "overrides_for_kept_data"]


def overrides_for_kept_data(source: Path, overrides: Sequence[str], folder: Path, job: str) -> list[str]:
    """Copy the job's data to the storage, where they outlive the job; return the overrides that name them.

    Raises:
        ExperimentError: the experiment is invalid, or its storage would not outlive the job.
    """
    exp = load_experiment(source, overrides)
    fault = storage_fault(exp.storage)
    if fault is not None:
        raise ExperimentError(source.name, [fault])
    data = keep_data(exp.data, folder, exp.storage, job)
    return [] if data == exp.data else [override_of("data", data)]


def check_versions(file: Path, allow: Sequence[str]) -> None:
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
