"""``yolosweep submit``, ``jobs``, ``follow`` and ``stop``: sweeps as jobs of a Ray cluster."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from yolosweep.cli.console import notify, print_json, print_line, print_table, print_text
from yolosweep.cluster.encryption import secrets_of
from yolosweep.cluster.job_package import EXPERIMENT, JobPackage, package_of, write_package
from yolosweep.cluster.jobs import Job, JobServer, latest, next_id
from yolosweep.cluster.secret_delivery import SecretSender
from yolosweep.cluster.versions import versions
from yolosweep.errors import ClusterError, Interrupted, UsageError
from yolosweep.experiment import load_experiment
from yolosweep.storage import address_of_run
from yolosweep.storage.addresses import is_address
from yolosweep.storage.temporary_folders import scratch_folder

__all__ = ["describe_jobs", "follow_job", "list_jobs", "stop_job", "submit_doctor", "submit_resume", "submit_sweep"]

_RUN = re.compile(r"^(?:run folder: |.*to (?:go on|resume): yolosweep resume )(\S.*)$", re.MULTILINE)


def submit_sweep(
    source: Path,
    overrides: Sequence[str],
    *,
    address: str,
    allow: Sequence[str] = (),
    data_on_nodes: bool = False,
    again: bool = False,
    follow: bool = True,
    as_json: bool = False,
) -> int:
    """Submit an experiment as a job, or attach to the job that runs it; return the sweep's exit code.

    Raises:
        ExperimentError: the experiment is invalid; the message lists all faults that this machine can detect.
        DataError: the data cannot be sent with the job.
        ClusterError: the cluster cannot be reached, or refused the job.
    """
    exp = load_experiment(source, overrides)
    package = package_of(exp, versions(), data_on_nodes=data_on_nodes, allow=allow)
    digest = hashlib.sha256(f"{package.digest} {sorted(allow)}".encode()).hexdigest()
    base = f"{exp.name}-{digest[:12]}"
    arguments = [EXPERIMENT, *_allow_options(allow)]
    return _Submission(address, base, package, arguments, as_json).run(again=again, follow=follow)


def submit_resume(
    run: str, overrides: Sequence[str], *, address: str, allow: Sequence[str], follow: bool, as_json: bool
) -> int:
    """Submit a job that resumes a run, or attach to one that is running; return the sweep's exit code.

    Raises:
        UsageError: the run folder's path is relative, so the job would not find it.
        RunFolderError: the run's address is refused.
        ClusterError: as :func:`submit_sweep`.
    """
    if is_address(run):
        address_of_run(run)
    elif not PurePosixPath(run).is_absolute():
        raise UsageError(f"--resume {run}: pass the absolute path, as the nodes of the cluster see it")
    base = f"{PurePosixPath(run).name}-resume"
    arguments = ["--resume", run, *_allow_options(allow), *overrides]
    return _Submission(address, base, package_of(None, versions()), arguments, as_json).run(again=True, follow=follow)


def submit_doctor(source: Path | None, overrides: Sequence[str], *, address: str, as_json: bool) -> int:
    """Check every node of a cluster in a job and return its exit code; data and model must already be on the nodes.

    Raises:
        ExperimentError: the experiment is invalid.
        ClusterError: as :func:`submit_sweep`.
    """
    exp = None if source is None else load_experiment(source, overrides)
    arguments = ["--doctor", *(["--json"] if as_json else []), *([] if exp is None else [EXPERIMENT])]
    package = package_of(exp, versions(), data_on_nodes=True)
    submission = _Submission(address, f"doctor-{secrets.token_hex(4)}", package, arguments, as_json=False)
    return submission.run(again=True, follow=True)


def _allow_options(codes: Sequence[str]) -> list[str]:
    return [f"--allow={code}" for code in codes]


class _Submission:
    """One submission of a package to a cluster."""

    def __init__(self, address: str, base: str, package: JobPackage, arguments: list[str], as_json: bool) -> None:
        self._server, self._base, self._package = JobServer(address, os.environ), base, package
        self._arguments, self._as_json = arguments, as_json
        self._secrets = secrets_of(os.environ)

    def run(self, *, again: bool, follow: bool) -> int:
        """Submit or attach, follow the job if requested, and return the exit code."""
        jobs = self._server.jobs()
        last = latest(jobs, self._base)
        if last is not None and not last.over:
            notify(f"attached to {last.id}: this job was submitted before and is {last.status.lower()}")
            return self._watch(last.id, {}, follow=follow)
        if last is not None and not again:
            return _report_end(self._server, last, self._as_json)
        job = next_id(jobs, self._base)
        if not self._send(job):
            notify(f"attached to {job}: another client has just submitted it")
            return self._watch(job, {}, follow=follow)
        return self._watch(job, self._secrets, follow=follow)

    def _send(self, job: str) -> bool:
        arguments = ["-m", "yolosweep.cli.job_driver", *self._arguments, f"--job={job}"]
        if self._secrets:
            arguments.append("--await-secrets")
        notify(f"the job carries {self._package.describe()}")
        with scratch_folder("job") as folder:
            write_package(self._package, folder)
            sent = self._server.submit(job, folder, arguments)
        if sent:
            notify(f"submitted as {job}")
        return sent

    def _watch(self, job: str, secrets: dict[str, str], *, follow: bool) -> int:
        if not follow:
            if secrets:
                _deliver(self._server, job, secrets)
            notify(_next_commands(self._server, job))
            if self._as_json:
                print_json({"job": job, "address": self._server.address})
            return 0
        return _follow(self._server, job, secrets, self._as_json)


class _Delivered(Exception):
    """The credentials are delivered; the rest of the log does not matter."""


def _deliver(server: JobServer, job: str, secrets: dict[str, str]) -> None:
    """Follow a job until its driver has the credentials."""
    sender = SecretSender(server, job, secrets)

    def on_line(line: str) -> None:
        if sender.handles(line):
            raise _Delivered

    try:
        server.follow(job, on_line)
    except _Delivered:
        notify(f"credentials delivered: {', '.join(sorted(secrets))}")


def follow_job(job: str, *, address: str, as_json: bool) -> int:
    """Print a job's log from its first line to its end and return the sweep's exit code."""
    server = JobServer(address, os.environ)
    server.get(job)
    return _follow(server, job, {}, as_json)


def _print_log_line(line: str) -> None:
    print_text(f"{line}\n")


def _follow(server: JobServer, job: str, secrets: dict[str, str], as_json: bool) -> int:
    sender = SecretSender(server, job, secrets)
    show = notify if as_json else _print_log_line

    def on_line(line: str) -> None:
        try:
            if not sender.handles(line):
                show(line)
            elif sender.delivered:
                notify(f"credentials delivered: {', '.join(sorted(secrets))}")
        except ClusterError as error:
            notify(f"warning: the credentials were not delivered: {error}")

    try:
        found = server.follow(job, on_line)
    except KeyboardInterrupt:
        raise Interrupted(f"detached; {job} continues\n{_next_commands(server, job)}") from None
    return _report_end(server, found, as_json)


def _report_end(server: JobServer, job: Job, as_json: bool) -> int:
    """Print how a job ended and the commands to continue; return its exit code."""
    run, code = _run_of(server, job), job.exit_code or 0
    lines = [f"{job.id} ended: {job.status.lower()}, exit code {code}"]
    if job.driver_code is None and job.message:
        lines.append(job.message.strip()[-2000:])
    if code and run:
        lines.append(f"to resume: yolosweep submit --resume {run} --address {server.address}")
    notify("\n".join([*lines, "to submit it again: --again"]))
    if as_json:
        print_json({**asdict(job), "exit_code": code, "run": run})
    return code


def _run_of(server: JobServer, job: Job) -> str | None:
    """Return the run folder named in a job's log; None if there is none."""
    try:
        found = _RUN.findall(server.log(job.id))
    except ClusterError:  # it never started, or its node is gone
        return None
    return str(found[-1]) if found else None


def stop_job(job: str, *, address: str, as_json: bool) -> None:
    """Stop a job so that its sweep can be resumed, and wait until it has ended."""
    server = JobServer(address, os.environ)
    notify(f"stopping {job}: running trials stop between two batches …")
    _report_end(server, server.stop(job), as_json)


def list_jobs(address: str) -> list[dict[str, Any]]:
    """Return the jobs of a cluster, newest first."""
    return [{**asdict(job), "exit_code": job.exit_code} for job in JobServer(address, os.environ).jobs()]


def describe_jobs(jobs: list[dict[str, Any]]) -> None:
    """Print a table of jobs."""
    if not jobs:
        print_line("no jobs")
        return
    headings = ("job", "status", "exit code", "started", "minutes")
    print_table(headings, map(_cells, jobs), right=("exit code", "minutes"))


def _cells(job: dict[str, Any]) -> tuple[object, ...]:
    start, end = job["started_s"], job["ended_s"]
    code = "" if job["exit_code"] is None else str(job["exit_code"])
    began = datetime.fromtimestamp(start).strftime("%Y-%m-%d %H:%M") if start else ""
    minutes = f"{((end or datetime.now().timestamp()) - start) / 60:.1f}" if start else ""
    return job["id"], job["status"].lower(), code, began, minutes


def _next_commands(server: JobServer, job: str) -> str:
    return (
        f"to follow: yolosweep follow {job} --address {server.address}\n"
        f"to stop:   yolosweep stop {job} --address {server.address}"
    )
