"""``yolosweep submit``, ``jobs``, ``follow`` and ``stop``: sweeps as jobs of a Ray cluster."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from yolosweep.cluster.encryption import secrets_of
from yolosweep.cluster.job_package import EXPERIMENT, JobPackage, package_of, write_package
from yolosweep.cluster.jobs import Job, JobServer, latest, next_id
from yolosweep.cluster.secret_delivery import SecretSender
from yolosweep.cluster.versions import versions
from yolosweep.errors import ClusterError, Interrupted, UsageError
from yolosweep.experiment import load_experiment

__all__ = ["describe_jobs", "follow_job", "list_jobs", "stop_job", "submit_doctor", "submit_resume", "submit_sweep"]

_RUN = re.compile(r"^(?:run folder: |.*to go on: yolosweep resume )(\S.*)$", re.MULTILINE)


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
        ExperimentError: with all faults that can be seen here.
        DataError: the data cannot travel.
        ClusterError: the cluster cannot be reached, or has not taken the job.
    """
    exp = load_experiment(source, overrides)
    load = package_of(exp, versions(), data_on_nodes=data_on_nodes, allow=allow)
    whole = hashlib.sha256(f"{load.digest} {sorted(allow)}".encode()).hexdigest()
    base = f"{exp.name}-{whole[:12]}"
    words = [EXPERIMENT, *_allowed(allow)]
    return _Submission(address, base, load, words, as_json).run(again=again, follow=follow)


def submit_resume(
    run: str, overrides: Sequence[str], *, address: str, allow: Sequence[str], follow: bool, as_json: bool
) -> int:
    """Submit a job that takes up a run again; attach to it where that is under way; return the sweep's exit code.

    Raises:
        UsageError: the run folder's path is relative: the job would not find it.
        ClusterError: as :func:`submit_sweep`.
    """
    if "://" not in run and not PurePosixPath(run).is_absolute():
        raise UsageError(f"--resume {run}: give the whole path, as the nodes of the cluster see it")
    base = f"{PurePosixPath(run).name}-resume"
    words = ["--resume", run, *_allowed(allow), *overrides]
    return _Submission(address, base, package_of(None, versions()), words, as_json).run(again=True, follow=follow)


def submit_doctor(source: Path | None, overrides: Sequence[str], *, address: str, as_json: bool) -> int:
    """Let a job look at every node of a cluster and return its exit code; data and model have to be there already.

    Raises:
        ExperimentError: the experiment is wrong.
        ClusterError: as :func:`submit_sweep`.
    """
    exp = None if source is None else load_experiment(source, overrides)
    words = ["--doctor", *(["--json"] if as_json else []), *([] if exp is None else [EXPERIMENT])]
    load = package_of(exp, versions(), data_on_nodes=True)
    return _Submission(address, f"doctor-{secrets.token_hex(4)}", load, words, False).run(again=True, follow=True)


def _allowed(codes: Sequence[str]) -> list[str]:
    return [f"--allow={code}" for code in codes]


class _Submission:
    """One request to run something on a cluster."""

    def __init__(self, address: str, base: str, load: JobPackage, words: list[str], as_json: bool) -> None:
        self._server, self._base, self._load = JobServer(address, os.environ), base, load
        self._words, self._as_json = words, as_json
        self._secrets = secrets_of(os.environ)

    def run(self, *, again: bool, follow: bool) -> int:
        """Submit or attach; follow to the end if asked to; return the exit code."""
        jobs = self._server.jobs()
        last = latest(jobs, self._base)
        if last is not None and not last.over:
            _say(f"attached to {last.id}: this was submitted before and is {last.status.lower()}")
            return self._watched(last.id, {}, follow=follow)
        if last is not None and not again:
            return _told_end(self._server, last, self._as_json)
        job = next_id(jobs, self._base)
        if not self._send(job):
            _say(f"attached to {job}: somebody else has just submitted this")
            return self._watched(job, {}, follow=follow)
        return self._watched(job, self._secrets, follow=follow)

    def _send(self, job: str) -> bool:
        words = ["-m", "yolosweep.cli.job_driver", *self._words, f"--job={job}"]
        if self._secrets:
            words.append("--await-secrets")
        _say(f"the job carries {self._load.told()}")
        with tempfile.TemporaryDirectory(prefix="yolosweep-job-") as folder:
            write_package(self._load, Path(folder))
            sent = self._server.submit(job, Path(folder), words)
        if sent:
            _say(f"submitted as {job}")
        return sent

    def _watched(self, job: str, secrets: dict[str, str], *, follow: bool) -> int:
        if not follow:
            if secrets:
                _hand_over(self._server, job, secrets)
            _say(_ways(self._server, job))
            if self._as_json:
                print(json.dumps({"job": job, "address": self._server.address}))
            return 0
        return _follow(self._server, job, secrets, self._as_json)


class _Enough(Exception):
    """The log has been read far enough."""


def _hand_over(server: JobServer, job: str, secrets: dict[str, str]) -> None:
    """Follow a job until its driver has the credentials."""
    courier = SecretSender(server, job, secrets)

    def look(line: str) -> None:
        if courier.handles(line):
            raise _Enough

    try:
        server.follow(job, look)
    except _Enough:
        _say(f"handed over: {', '.join(sorted(secrets))}")


def follow_job(job: str, *, address: str, as_json: bool) -> int:
    """Follow a job from its first line to its end and return the sweep's exit code."""
    server = JobServer(address, os.environ)
    server.get(job)
    return _follow(server, job, {}, as_json)


def _follow(server: JobServer, job: str, secrets: dict[str, str], as_json: bool) -> int:
    courier = SecretSender(server, job, secrets)
    out = sys.stderr if as_json else sys.stdout

    def show(line: str) -> None:
        try:
            if not courier.handles(line):
                print(line, file=out, flush=True)
            elif courier.delivered:
                _say(f"handed over: {', '.join(sorted(secrets))}")
        except ClusterError as error:
            _say(f"warning: the credentials were not handed over: {error}")

    try:
        found = server.follow(job, show)
    except KeyboardInterrupt:
        raise Interrupted(f"detached; {job} goes on\n{_ways(server, job)}") from None
    return _told_end(server, found, as_json)


def _told_end(server: JobServer, job: Job, as_json: bool) -> int:
    """Say how a job ended and what can be done next; return its exit code."""
    run, code = _run_of(server, job), job.exit_code or 0
    lines = [f"{job.id} ended: {job.status.lower()}, exit code {code}"]
    if job.driver_code is None and job.message:
        lines.append(job.message.strip()[-2000:])
    if code and run:
        lines.append(f"to go on: yolosweep submit --resume {run} --address {server.address}")
    _say("\n".join([*lines, "to submit the same once more: --again"]))
    if as_json:
        print(json.dumps({**asdict(job), "exit_code": code, "run": run}, indent=2))
    return code


def _run_of(server: JobServer, job: Job) -> str | None:
    """Return the run folder a job told of."""
    try:
        found = _RUN.findall(server.log(job.id))
    except ClusterError:  # it never started, or its node is gone
        return None
    return str(found[-1]) if found else None


def stop_job(job: str, *, address: str, as_json: bool) -> None:
    """Stop a job so that its sweep can be taken up again, and wait until it has ended."""
    server = JobServer(address, os.environ)
    _say(f"stopping {job}: running trials stop between two batches …")
    _told_end(server, server.stop(job), as_json)


def list_jobs(address: str) -> list[dict[str, Any]]:
    """Return the jobs of a cluster, the last one first."""
    return [{**asdict(job), "exit_code": job.exit_code} for job in JobServer(address, os.environ).jobs()]


def describe_jobs(jobs: list[dict[str, Any]]) -> None:
    """Print a table of jobs."""
    from rich.console import Console
    from rich.table import Table

    if not jobs:
        print("no jobs")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "exit code", "started", "minutes"):
        table.add_column(column, justify="right" if column in ("exit code", "minutes") else "left", overflow="fold")
    for job in jobs:
        start, end = job["started_s"], job["ended_s"]
        code = "" if job["exit_code"] is None else str(job["exit_code"])
        began = datetime.fromtimestamp(start).strftime("%Y-%m-%d %H:%M") if start else ""
        minutes = f"{((end or datetime.now().timestamp()) - start) / 60:.1f}" if start else ""
        table.add_row(job["id"], job["status"].lower(), code, began, minutes)
    Console().print(table)


def _ways(server: JobServer, job: str) -> str:
    return (
        f"to follow: yolosweep follow {job} --address {server.address}\n"
        f"to stop:   yolosweep stop {job} --address {server.address}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
