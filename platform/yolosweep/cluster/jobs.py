"""Client of a Ray cluster's job server: submit, list, follow and stop jobs. Every error names its fix."""

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
"""From SIGTERM to SIGKILL of a stopped job: time for checkpoints and the report. Ray's default is 3."""
_POLL_S = 0.5
_OUTAGE_S = 60.0
"""How long a job server may be unreachable before following gives up; the job continues either way."""
_LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as the server reports it."""

    id: str
    status: str
    """``PENDING``, ``RUNNING``, ``STOPPED``, ``SUCCEEDED`` or ``FAILED``."""
    driver_code: int | None
    """The driver's exit code, if it ended by itself."""
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
        """The sweep's exit code; 143 if it was stopped, 6 if it could not be started; None while it runs."""
        if not self.over:
            return None
        if self.status == "STOPPED":
            return 143
        if self.driver_code is None:
            return 0 if self.status == "SUCCEEDED" else ClusterError.exit_code
        return 128 - self.driver_code if self.driver_code < 0 else self.driver_code


def latest(jobs: Sequence[Job], base: str) -> Job | None:
    """Return the newest of the jobs with an id of ``base``, ``base-2``, ``base-3`` …; None if there is none."""
    return max((job for job in jobs if _number(job.id, base)), key=lambda job: _number(job.id, base), default=None)


def next_id(jobs: Sequence[Job], base: str) -> str:
    """Return the id for submitting the same job again."""
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
        environ: the environment that holds Ray's token.

    Raises:
        UsageError: the address is not a job server's.
        ClusterError: a token is required and missing, the server does not answer, or it runs another Ray release.
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

        with self._translated_errors(), _only_address(self.address):
            self._client = JobSubmissionClient(self.address)
        there = str(self._client._server_ray_version)
        if there != ray.__version__:
            raise ClusterError(
                f"{address} runs Ray {there}, this machine has {ray.__version__}; install the same release on both"
            )

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate errors of requests to the server.

        Raises:
            ClusterError: with the fix.
        """
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            refused = "the token is not the cluster's" if "403" in str(error) or "Invalid" in str(error) else "no token"
            raise ClusterError(
                f"{self.address} refused the request ({refused}); set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to "
                "the file with the token that the cluster was started with"
            ) from error
        except (requests.exceptions.RequestException, ConnectionError, OSError) as error:
            raise ClusterError(
                f"the job server at {self.address} cannot be reached ({type(error).__name__}); check that the cluster "
                "is up and that this is its dashboard's address, e.g. http://head:8265"
            ) from error
        except RuntimeError as error:
            raise ClusterError(f"{self.address}: {_line(str(error))}") from error

    def submit(self, job: str, folder: Path, arguments: Sequence[str]) -> bool:
        """Upload a folder and run ``python ARGUMENTS`` in it; return False if a job with this id exists.

        Raises:
            ClusterError: the server refused the job.
        """
        if self.find(job) is not None:
            return False
        # Everybody on the cluster can read a job's metadata and runtime_env, so neither holds a secret.
        runtime_env = {"working_dir": str(folder), "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S)}}
        entrypoint = shlex.join(["exec", "python", *arguments])
        try:
            with self._translated_errors():
                self._client.submit_job(entrypoint=entrypoint, submission_id=job, runtime_env=runtime_env)
        except ClusterError as error:
            if "already exists" in str(error):  # another client submitted the same in the meantime
                return False
            raise
        return True

    def find(self, job: str) -> Job | None:
        """Return a job; None if the cluster has no job with this id."""
        with self._translated_errors():
            answer = self._client._do_request("GET", f"/api/jobs/{quote(job, safe='')}")
            if answer.status_code == 404:
                return None
            details = self._client.get_job_info(job)
        return _job(details) if details.submission_id == job else None

    def jobs(self) -> list[Job]:
        """Return all submitted jobs, newest first."""
        with self._translated_errors():
            found = [_job(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda job: job.started_s or 0.0, reverse=True)

    def get(self, job: str) -> Job:
        """Return a job.

        Raises:
            ClusterError: there is no such job.
        """
        found = self.find(job)
        if found is None:
            raise ClusterError(f"{self.address} has no job {job}; `yolosweep jobs` lists them")
        return found

    def stop(self, job: str) -> Job:
        """Stop a job, wait until it has ended, and return it; its driver gets SIGTERM and one minute.

        Raises:
            ClusterError: there is no such job, or it has not stopped in time.
        """
        if not self.get(job).over:
            with self._translated_errors():
                self._client.stop_job(job)
        deadline = time.monotonic() + _STOP_WAIT_S + _OUTAGE_S
        while not (found := self.get(job)).over:
            if time.monotonic() > deadline:
                raise ClusterError(f"{job} has not stopped within {_STOP_WAIT_S + _OUTAGE_S:.0f} s; try again")
            time.sleep(_POLL_S)
        return found

    def log(self, job: str) -> str:
        """Return a job's log so far."""
        with self._translated_errors():
            return str(self._client.get_job_logs(job))

    def follow(self, job: str, on_line: Callable[[str], None]) -> Job:
        """Call ``on_line`` with every line of a job's log, from the first; return the job when it has ended.

        Raises:
            ClusterError: the server was unreachable for a minute.
        """
        import aiohttp

        lines = _LogLines(on_line)
        while not (found := self._get_with_retry(job)).over:
            if found.status == "PENDING":
                time.sleep(_POLL_S)
                continue
            # After a broken connection, reading starts over and known lines are skipped.
            with contextlib.suppress(RuntimeError, OSError, aiohttp.ClientError, asyncio.TimeoutError):
                asyncio.run(self._tail(job, lines))
            time.sleep(_POLL_S)
        with contextlib.suppress(ClusterError):  # a job that never started has no log
            lines.finish(self.log(job))
        return found

    def _get_with_retry(self, job: str) -> Job:
        deadline = time.monotonic() + _OUTAGE_S
        while True:
            try:
                return self.get(job)
            except ClusterError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    async def _tail(self, job: str, lines: _LogLines) -> None:
        position = 0
        async for chunk in self._client.tail_job_logs(job):
            lines.add(chunk, position)
            position += len(chunk)

    def put(self, name: str, content: bytes) -> None:
        """Store bytes on the cluster's head, where drivers of jobs read them under ``gcs://name``.

        Raises:
            ClusterError: the server did not accept them.
        """
        with self._translated_errors():
            answer = self._client._do_request("PUT", f"/api/packages/gcs/{name}", data=content)
        if answer.status_code != 200:
            raise ClusterError(f"{self.address} did not accept the upload (HTTP {answer.status_code})")


class _LogLines:
    """Whole lines of a log that may be read again from its start; each line is reported once."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line, self._position, self._open = on_line, 0, ""

    def add(self, chunk: str, at: int) -> None:
        """Add a chunk that starts at a position of the log; known text is skipped."""
        new = chunk[max(0, self._position - at) :] if at <= self._position else chunk
        self._position = max(self._position, at + len(chunk))
        *whole, self._open = (self._open + new).split("\n")
        for line in whole:
            self._on_line(line)

    def finish(self, log: str) -> None:
        """Add the whole log of a job that has ended, including an unterminated last line."""
        self.add(log, 0)
        if self._open:
            self._on_line(self._open)


@contextlib.contextmanager
def _only_address(address: str) -> Iterator[None]:
    """Make Ray's client use this address: RAY_API_SERVER_ADDRESS and RAY_ADDRESS would take precedence."""
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
    """Return the last line of a server's traceback, which holds the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else text)[:500]
