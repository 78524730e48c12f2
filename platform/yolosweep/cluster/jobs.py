"""The job server of a Ray cluster, over HTTP: submit, list, follow, stop. Every fault is told with its way out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yolosweep.cluster.tokens import require_token
from yolosweep.errors import ClusterError, UsageError

__all__ = ["Job", "JobServer", "latest", "next_id"]

_STOP_WAIT_S = 60
"""From SIGTERM to SIGKILL of a stopped job: the driver's own grace, and the report. Ray's default is 3."""
_POLL_S = 0.5
_PATIENCE_S = 60.0
"""How long a job server may be out of reach before following gives up; the job goes on either way."""
_LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as the server tells of it."""

    id: str
    status: str
    """``PENDING``, ``RUNNING``, ``STOPPED``, ``SUCCEEDED`` or ``FAILED``."""
    driver_code: int | None
    """What the driver exited with, where it ended by itself."""
    message: str
    started_s: float | None
    """Seconds since the epoch."""
    ended_s: float | None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")

    @property
    def exit_code(self) -> int | None:
        """The sweep's own exit code; 143 where it was stopped, 6 where it could not be started; None while it runs."""
        if not self.over:
            return None
        if self.status == "STOPPED":
            return 143
        if self.driver_code is None:
            return 0 if self.status == "SUCCEEDED" else ClusterError.exit_code
        return 128 - self.driver_code if self.driver_code < 0 else self.driver_code


def latest(jobs: Sequence[Job], base: str) -> Job | None:
    """Return the last of the jobs that were submitted under an id: ``base``, ``base-2``, ``base-3`` …"""
    return max((job for job in jobs if _number(job.id, base)), key=lambda job: _number(job.id, base), default=None)


def next_id(jobs: Sequence[Job], base: str) -> str:
    """Return the id under which the same is submitted once more."""
    last = latest(jobs, base)
    return base if last is None else f"{base}-{_number(last.id, base) + 1}"


def _number(job: str, base: str) -> int:
    start, _, end = job.partition(f"{base}-")
    if job == base:
        return 1
    return int(end) if not start and end.isdecimal() and len(end) < 6 else 0


class JobServer:
    """A connection to a job server.

    Args:
        address: ``http://head:8265``.
        environ: where Ray's token is set.

    Raises:
        UsageError: it is no address of a job server.
        ClusterError: there is no token where one is needed, nobody answers, or it runs another Ray.
    """

    def __init__(self, address: str, environ: Mapping[str, str]) -> None:
        self.address = address if "://" in address else f"http://{address}"
        if not self.address.startswith(("http://", "https://")):
            raise UsageError(f"--address {address}: jobs go to the cluster's dashboard, e.g. http://head:8265")
        require_token(self.address, environ, key="--address ")
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        import ray
        from ray.job_submission import JobSubmissionClient

        with self._told(), _only_address(self.address):
            self._client = JobSubmissionClient(self.address)
        there = str(self._client._server_ray_version)
        if there != ray.__version__:
            raise ClusterError(
                f"{address} runs Ray {there}, and here is {ray.__version__}: install the same release on both"
            )

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Translate what can go wrong on the way to the server.

        Raises:
            ClusterError: with the way out.
        """
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            refused = "the token is not the cluster's" if "403" in str(error) or "Invalid" in str(error) else "no token"
            raise ClusterError(
                f"{self.address} refused the request ({refused}): set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to "
                "the file with the token that the cluster was started with"
            ) from error
        except (requests.exceptions.RequestException, ConnectionError, OSError) as error:
            raise ClusterError(
                f"the job server at {self.address} cannot be reached ({type(error).__name__}): is the cluster up, and "
                "is this its dashboard's address, e.g. http://head:8265?"
            ) from error
        except RuntimeError as error:
            raise ClusterError(f"{self.address}: {_line(str(error))}") from error

    def submit(self, job: str, folder: Path, words: Sequence[str]) -> bool:
        """Upload a folder and start ``python`` with some words in it; return False if there is such a job already.

        Raises:
            ClusterError: it was refused.
        """
        if self.find(job) is not None:
            return False
        # In a job's metadata and runtime_env everybody on the cluster can read: nothing secret stands in either.
        runtime_env = {"working_dir": str(folder), "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S)}}
        entrypoint = shlex.join(["exec", "python", *words])
        try:
            with self._told():
                self._client.submit_job(entrypoint=entrypoint, submission_id=job, runtime_env=runtime_env)
        except ClusterError as error:
            if "already exists" in str(error):  # somebody was faster with the same
                return False
            raise
        return True

    def find(self, job: str) -> Job | None:
        """Return a job; None if the cluster knows none of that id."""
        with self._told():
            answer = self._client._do_request("GET", f"/api/jobs/{quote(job, safe='')}")
            if answer.status_code == 404:
                return None
            details = self._client.get_job_info(job)
        return _job(details) if details.submission_id == job else None

    def jobs(self) -> list[Job]:
        """Return all submitted jobs, the last one first."""
        with self._told():
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: job.started_s or 0.0, reverse=True)

    def get(self, job: str) -> Job:
        """Return a job.

        Raises:
            ClusterError: there is no such job.
        """
        found = self.find(job)
        if found is None:
            raise ClusterError(f"{self.address} knows no job {job}; `yolosweep jobs` lists them")
        return found

    def stop(self, job: str) -> Job:
        """Ask a job to stop, wait until it has, and return it; its driver gets SIGTERM and a minute."""
        if not self.get(job).over:
            with self._told():
                self._client.stop_job(job)
        deadline = time.monotonic() + _STOP_WAIT_S + _PATIENCE_S
        while not (found := self.get(job)).over:
            if time.monotonic() > deadline:
                raise ClusterError(f"{job} has not stopped within {_STOP_WAIT_S + _PATIENCE_S:.0f} s; try again")
            time.sleep(_POLL_S)
        return found

    def log(self, job: str) -> str:
        """Return what a job has printed so far."""
        with self._told():
            return str(self._client.get_job_logs(job))

    def follow(self, job: str, tell: Callable[[str], None]) -> Job:
        """Hand every line a job prints to ``tell``, from its first one on; return the job when it has ended.

        Raises:
            ClusterError: the server was out of reach for a minute.
        """
        import aiohttp

        lines = _Lines(tell)
        while not (found := self._found_in_time(job)).over:
            if found.status == "PENDING":
                time.sleep(_POLL_S)
                continue
            # The line broke: go on from where it was.
            with contextlib.suppress(RuntimeError, OSError, aiohttp.ClientError, asyncio.TimeoutError):
                asyncio.run(self._tail(job, lines))
            time.sleep(_POLL_S)
        with contextlib.suppress(ClusterError):  # a job that never started has no log
            lines.rest(self.log(job))
        return found

    def _found_in_time(self, job: str) -> Job:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self.get(job)
            except ClusterError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    async def _tail(self, job: str, lines: _Lines) -> None:
        seen = 0
        async for chunk in self._client.tail_job_logs(job):
            lines.add(chunk, seen)
            seen += len(chunk)

    def put(self, name: str, content: bytes) -> None:
        """Store bytes on the cluster's head, where the drivers of jobs can read them under ``gcs://name``."""
        with self._told():
            answer = self._client._do_request("PUT", f"/api/packages/gcs/{name}", data=content)
        if answer.status_code != 200:
            raise ClusterError(f"{self.address} did not take what was sent ({answer.status_code})")


class _Lines:
    """Whole lines of a log that may be read again from its start."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._told, self._open = tell, 0, ""

    def add(self, chunk: str, at: int) -> None:
        """Take a chunk that begins at a place of the log; what was told before is skipped."""
        new = chunk[max(0, self._told - at) :] if at <= self._told else chunk
        self._told = max(self._told, at + len(chunk))
        *whole, self._open = (self._open + new).split("\n")
        for line in whole:
            self._tell(line)

    def rest(self, log: str) -> None:
        """Take the whole log of a job that has ended."""
        self.add(log, 0)
        if self._open:
            self._tell(self._open)


@contextlib.contextmanager
def _only_address(address: str) -> Iterator[None]:
    """Let Ray's client use the address it is given: RAY_API_SERVER_ADDRESS and RAY_ADDRESS would go before it."""
    name = "RAY_API_SERVER_ADDRESS"
    before = os.environ.get(name)
    os.environ[name] = address
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _job(details: Any) -> Job:
    return Job(
        id=details.submission_id,
        status=str(getattr(details.status, "value", details.status)),
        driver_code=details.driver_exit_code,
        message=details.message or "",
        started_s=details.start_time / 1000 if details.start_time else None,
        ended_s=details.end_time / 1000 if details.end_time else None,
    )


def _line(text: str) -> str:
    """Return the last line of a server's trace: the one that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else text)[:500]
