"""A pool of reader processes: a file that crashes, hangs or bloats a decoder costs that file and no other.

Readers are plain programs that answer lines of JSON. ``multiprocessing`` pools do not report which file killed a
process and import the caller's main module. ``pebble.ProcessPool`` reports the file, but builds on ``multiprocessing``:
spawned processes import the main module, and forking is unsafe with the threads that run here.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from yolosweep.data.model.dataset_items import ImageFacts, LabelFile, Problem
from yolosweep.data.scan.reader_worker import Job, Rules, read
from yolosweep.data.scan.scan_codec import encode_image, encode_label

__all__ = ["read_all"]

CHUNK = 16
"""Files per request."""

FEW = 400
"""Up to this many files are read in this process; starting others takes longer."""

FILE_TIMEOUT_S = 60.0
"""Time limit per file."""

_START_S = 120.0
"""Time limit for the start of a process; a busy machine with a slow disk is slow."""

Answer = tuple[Job, str]


class _CannotStart(Exception):
    """Reader processes do not start on this machine."""


def read_all(
    jobs: Sequence[Job],
    rules: Rules,
    *,
    workers: int | None = None,
    file_timeout_s: float = FILE_TIMEOUT_S,
) -> Iterator[Answer]:
    """Yield every job with its result, in order of completion.

    A file that kills its reader process or exceeds ``file_timeout_s`` is retried once in a new process, then reported
    as unreadable.

    Args:
        jobs: The files.
        rules: For label files.
        workers: Processes; None for one per CPU core, or none at all for few files.
        file_timeout_s: Time limit per file.
    """
    count = min(workers if workers is not None else len(os.sched_getaffinity(0)), -(-len(jobs) // CHUNK))
    if count == 0 or (workers is None and len(jobs) < FEW):
        yield from ((job, read(job, rules)) for job in jobs)
        return
    left = dict.fromkeys(jobs)
    try:
        for answer in _read_in_pool(jobs, rules, count, file_timeout_s):
            left.pop(answer[0], None)
            yield answer
    except _CannotStart:
        yield from ((job, read(job, rules)) for job in left)


def _program() -> list[str]:
    path = [os.path.abspath(entry) for entry in sys.path]
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {path!r}; from yolosweep.data.scan.reader_worker import main; main()",
    ]


def _read_in_pool(jobs: Sequence[Job], rules: Rules, count: int, file_timeout_s: float) -> Iterator[Answer]:
    todo: SimpleQueue[Sequence[Job]] = SimpleQueue()
    for start in range(0, len(jobs), CHUNK):
        todo.put(jobs[start : start + CHUNK])
    done: SimpleQueue[Answer | Exception] = SimpleQueue()
    readers = [_Reader(rules, file_timeout_s) for _ in range(count)]
    threads = [threading.Thread(target=reader.work, args=(todo, done), daemon=True) for reader in readers]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            answer = done.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer
    finally:
        for reader in readers:
            reader.end()
        for thread in threads:
            thread.join()


class _Reader:
    """One reader process at a time, replaced when it dies; ``work`` runs in its own thread."""

    def __init__(self, rules: Rules, file_timeout_s: float) -> None:
        self._rules, self._file_timeout_s = rules, file_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._ended = False
        self._lock = threading.Lock()

    def work(self, todo: SimpleQueue[Sequence[Job]], done: SimpleQueue[Answer | Exception]) -> None:
        """Process chunks of jobs until none are left."""
        try:
            with suppress(Empty):
                while not self._ended:
                    for answer in self._answers(todo.get_nowait()):
                        done.put(answer)
        except Exception as error:  # raised again in the thread that waits for answers
            done.put(error)
        finally:
            self._stop(0)

    def end(self) -> None:
        """Stop at once; called from another thread, so it closes nothing that is in use."""
        self._ended = True
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _answers(self, jobs: Sequence[Job]) -> Iterator[Answer]:
        tried: Job | None = None
        while jobs and not self._ended:
            for text in self._ask(jobs):
                yield jobs[0], text
                jobs = jobs[1:]
            if not jobs or self._ended:
                return
            why = self._stop(1)
            if tried is jobs[0]:
                yield jobs[0], _failed(jobs[0], why)
                jobs = jobs[1:]
            else:
                tried = jobs[0]

    def _ask(self, jobs: Sequence[Job]) -> Iterator[str]:
        """Yield answers until all jobs are done, or the process dies or hangs."""
        process = self._started()
        if process is None or process.stdin is None:
            return
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps([(job.kind, os.fspath(job.path)) for job in jobs]).encode() + b"\n")
            process.stdin.flush()
            for _ in jobs:
                if (text := self._line(process, self._file_timeout_s)) is None:
                    return
                yield text

    def _started(self) -> subprocess.Popen[bytes] | None:
        if self._process is not None:
            return self._process
        with self._lock:
            if self._ended:
                return None
            try:
                self._process = process = subprocess.Popen(
                    _program(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C must not reach it; it exits at the end of stdin
                )
            except OSError as error:
                raise _CannotStart from error
        self._buffer = b""
        with suppress(BrokenPipeError):
            if process.stdin is not None:
                process.stdin.write(json.dumps(self._rules).encode() + b"\n")
                process.stdin.flush()
        if self._line(process, _START_S) != "ready" and not self._ended:
            raise _CannotStart
        return process

    def _line(self, process: subprocess.Popen[bytes], file_timeout_s: float) -> str | None:
        """Return the next line of the process; None if it exited or timed out."""
        if process.stdout is None:
            return None
        handle = process.stdout.fileno()
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        deadline = time.monotonic() + file_timeout_s
        parts = [self._buffer]
        while b"\n" not in parts[-1]:
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000) or not (got := os.read(handle, 1 << 16)):
                return None
            parts.append(got)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return line.decode("ascii")

    def _stop(self, grace_s: float) -> str:
        """Wait ``grace_s`` for the process to exit, else kill it; return the reason."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return "its reader was stopped"
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
        code = process.poll()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        if code is None:
            return f"reading it takes longer than {self._file_timeout_s:.0f} s"
        return f"reading it ends the reader (signal {-code})" if code < 0 else f"reading it ends the reader ({code})"


def _failed(job: Job, why: str) -> str:
    if job.kind == "image":
        return encode_image(ImageFacts("", fault="image-unreadable", detail=why))
    return encode_label(LabelFile("", problems=(Problem("label-unreadable", None, why),)))
