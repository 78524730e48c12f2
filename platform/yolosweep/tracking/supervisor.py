"""Keep one sender process running, and restart it when it fails.

Client libraries cannot be trusted to recover: after a failed ``init`` W&B's holds the run id until its own process
ends, and some of its calls wait without a limit. So a sender is a process that may be killed at any time: the state
file and the tracker know what arrived, and the next sender continues from there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder, Tail
from yolosweep.ledger.history import History
from yolosweep.storage.temporary_folders import scratch_folder
from yolosweep.tracking.message_planner import Planner, section_of
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.outbox import Outbox, send
from yolosweep.tracking.sink import Connection, Destination, NotSent, Sink

__all__ = ["Limits", "supervise"]

_DONE, _FAILED, _REFUSED = 0, 1, 2
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times and counts of a supervisor."""

    poll_s: float = 0.5
    backoff_s: float = 2.0
    """Wait after the first failure; it doubles with each further one."""
    longest_backoff_s: float = 60.0
    final_attempts: int = 3
    """Attempts after the sweep has ended."""
    orphaned_s: float = 60.0
    """How long a mirror goes on after its driver died."""
    stalled_s: float = 900.0
    """Silence after which a sender is killed; longer than any limit a sink sets for its client library."""


@dataclass
class _Watch:
    """What the supervisor knows of the sweep."""

    folder: RunFolder
    follow: bool
    parent: int | None
    _history: History = field(default_factory=History)
    _orphaned_at: float | None = None

    def __post_init__(self) -> None:
        self._tail = Tail(self.folder.ledger)

    def is_final(self) -> bool:
        """Whether to stop waiting for events: the sweep ended, its driver is gone, or nobody asked to follow it."""
        self._history.extend(self._tail.read())
        return self.is_alone() or self._history.ended is not None

    def is_alone(self) -> bool:
        """Whether no process adds events that this one waits for."""
        return not self.follow or self._is_orphan()

    def orphaned_s(self) -> float:
        """Return for how long the process that runs the sweep has been gone, seconds."""
        now = time.monotonic()
        if self._orphaned_at is None and self._is_orphan():
            self._orphaned_at = now
        return 0.0 if self._orphaned_at is None else now - self._orphaned_at

    def _is_orphan(self) -> bool:
        return self.parent is not None and os.getppid() != self.parent


def supervise(
    folder: RunFolder, sink: Sink, *, follow: bool, parent: int | None = None, limits: Limits | None = None
) -> int:
    """Send a sweep to a sink, with unlimited attempts while it runs and a few at its end.

    Args:
        folder: the run folder.
        sink: where to.
        follow: wait for events of a running sweep; else send what is there.
        parent: process that runs the sweep; once it is gone, only what is there is sent.
        limits: times and counts.

    Returns:
        Exit code: 0 when everything that could be sent has arrived.

    Raises:
        RunFolderError: the ledger is damaged.
    """
    watch, limits = _Watch(folder, follow, parent), limits or Limits()
    failures, final_failures = 0, 0
    while True:
        code = _run_sender(sink, watch, limits)
        if code in (_DONE, _REFUSED):
            return code
        failures += 1
        final_failures += watch.is_final()
        if final_failures >= limits.final_attempts or watch.orphaned_s() > limits.orphaned_s:
            return _FAILED
        wait_s = min(limits.backoff_s * 2 ** (failures - 1), limits.longest_backoff_s)
        _wait(wait_s, limits.poll_s, until=None if watch.is_final() else watch.is_final)


def _wait(seconds: float, poll_s: float, *, until: Callable[[], bool] | None) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (until is not None and until()):
        time.sleep(poll_s)


def _run_sender(sink: Sink, watch: _Watch, limits: Limits) -> int:
    alone = _FORK.Event()
    beat = _FORK.Value("d", time.monotonic())
    with scratch_folder(sink.name) as scratch:
        arguments = (watch.folder, sink, watch.follow, scratch, alone.is_set, beat, limits.poll_s)
        sender = _FORK.Process(target=_sender, args=arguments, daemon=False)
        sender.start()
        try:
            while sender.is_alive():
                if watch.is_alone():
                    alone.set()
                if time.monotonic() - beat.value > limits.stalled_s:
                    _record(watch.folder, sink, f"the {sink.title} client did not answer for {limits.stalled_s:.0f} s")
                    break
                if watch.orphaned_s() > limits.orphaned_s:
                    break
                sender.join(limits.poll_s)
        finally:
            _kill(sender)
    return sender.exitcode if sender.exitcode in (_DONE, _REFUSED) else _FAILED


def _kill(sender: BaseProcess) -> None:
    """Kill a sender and the processes of its client library; what they were sending is sent again."""
    if sender.is_alive() and sender.pid is not None:
        _kill_children_of(sender.pid)
        sender.kill()
    sender.join()


def _kill_children_of(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def _record(folder: RunFolder, sink: Sink, error: str) -> None:
    state = MirrorState.load(folder, sink.name)
    state.last_error = error
    state.save(folder, sink.name)


def _sender(
    folder: RunFolder, sink: Sink, follow: bool, scratch: Path, alone: Callable[[], bool], beat: Any, poll_s: float
) -> None:
    """Run a sender process; its exit code is the result."""
    supervisor, address = os.getppid(), sink.address(section_of(folder, sink.name), os.environ)

    def heartbeat() -> None:
        beat.value = time.monotonic()
        if os.getppid() != supervisor:
            os._exit(_FAILED)

    def connect(planner: Planner) -> Connection:
        return sink.connect(_destination(planner, folder, scratch=scratch, address=address, follow=follow))

    outbox = Outbox(folder, sink, address, connect, heartbeat)
    code = _FAILED
    try:
        send(folder, outbox, final=lambda: not follow or alone(), poll_s=poll_s)
        outbox.close()
        code = _DONE
    except NotSent as error:
        code = _REFUSED if error.refused else _FAILED
    except YolosweepError as error:
        print(error, file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if code != _DONE:
        _kill_children_of(os.getpid())
    # An exit hook of the client library would wait for the network again; what did not arrive is not marked as sent.
    os._exit(code)


def _destination(planner: Planner, folder: RunFolder, *, scratch: Path, address: str, follow: bool) -> Destination:
    return Destination(
        address=address,
        section=planner.section or {},
        experiment=planner.history.started.experiment["name"],
        sweep=planner.history.sweep,
        search=planner.history.experiment.get("search") or {},
        folder=folder,
        scratch=scratch,
        follow=follow,
    )
