"""Keep one sender at work, and start it anew when it fails.

The SDK cannot be trusted to come back from a failure: after an ``init`` that failed it holds the run id until its own
process ends, and some of its calls wait without a limit. So the sender is a process that may be killed at any time:
what arrived stands in the memory and on the server, and the next sender goes on from there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder, Tail
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.outbox import Outbox, send
from yolosweep.tracking.planner import Planner
from yolosweep.tracking.wandb import NotSent, Runs, isolate
from yolosweep.tracking.wandb_mode import server

__all__ = ["supervise"]

_POLL_S = 0.5
_BACKOFF_S = (2.0, 60.0)
_FINAL_TRIES = 3
_STALLED_S = 900.0
"""Longer than anything the SDK was given a limit for."""
_DONE, _FAILED, _REFUSED = 0, 1, 2
_FORK = multiprocessing.get_context("fork")


@dataclass
class _Watch:
    """What the supervisor knows of the sweep, without sending anything."""

    folder: RunFolder
    follow: bool
    parent: int | None

    def __post_init__(self) -> None:
        self._tail, self._planner = Tail(self.folder.ledger), Planner()

    def final(self) -> bool:
        """No more events are to be waited for: the sweep ended, its driver is gone, or nobody asked to wait."""
        for event in self._tail.read():
            self._planner.add(event)
        return self.alone() or self._planner.ended

    def alone(self) -> bool:
        """What is there is all that will come."""
        return not self.follow or (self.parent is not None and os.getppid() != self.parent)


def supervise(folder: RunFolder, *, follow: bool, parent: int | None) -> int:
    """Send a sweep, with as many tries as it takes while it runs and a few at its end.

    Args:
        folder: the run folder.
        follow: wait for events of a sweep that runs; else send what is there.
        parent: process that runs the sweep; when it is gone, what is there is sent and that is all.

    Returns:
        Exit code: 0 when everything that could be sent has arrived.
    """
    watch = _Watch(folder, follow, parent)
    failures, final_failures = 0, 0
    while True:
        code = _one_sender(folder, watch)
        if code in (_DONE, _REFUSED):
            return code
        failures += 1
        final_failures += watch.final()
        if final_failures >= _FINAL_TRIES:
            return _FAILED
        wait_s = min(_BACKOFF_S[0] * 2 ** (failures - 1), _BACKOFF_S[1])
        _wait(wait_s, until=None if watch.final() else watch.final)


def _wait(seconds: float, *, until: Callable[[], bool] | None) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (until is not None and until()):
        time.sleep(_POLL_S)


def _one_sender(folder: RunFolder, watch: _Watch) -> int:
    alone = _FORK.Event()
    beat = _FORK.Value("d", time.monotonic())
    scratch = Path(tempfile.mkdtemp(prefix="yolosweep-wandb-"))
    sender = _FORK.Process(target=_send, args=(folder, watch.follow, scratch, alone.is_set, beat), daemon=False)
    sender.start()
    try:
        while sender.is_alive():
            if watch.alone():
                alone.set()
            if time.monotonic() - beat.value > _STALLED_S:
                _tell(folder, f"the W&B SDK did not answer for {_STALLED_S:.0f} s")
                break
            sender.join(_POLL_S)
    finally:
        _end(sender)
        shutil.rmtree(scratch, ignore_errors=True)
    return sender.exitcode if sender.exitcode in (_DONE, _REFUSED) else _FAILED


def _end(sender: BaseProcess) -> None:
    """End a sender and the SDK's own process with it; what they had under way is sent again."""
    if sender.is_alive() and sender.pid is not None:
        _kill_children_of(sender.pid)
        sender.kill()
    sender.join()


def _kill_children_of(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def _tell(folder: RunFolder, error: str) -> None:
    state = MirrorState.load(folder, server(os.environ))
    state.last_error = error
    state.save(folder)


def _send(folder: RunFolder, follow: bool, scratch: Path, alone: Callable[[], bool], beat: Any) -> None:
    """Life of a sender: its exit code says how it went."""
    supervisor = os.getppid()
    isolate(os.environ, scratch)

    def alive() -> None:
        beat.value = time.monotonic()
        if os.getppid() != supervisor:
            os._exit(_FAILED)

    connect = partial(Runs, folder=folder, scratch=scratch, follow=follow)
    outbox = Outbox(folder, server(os.environ), connect, alive)
    code = _FAILED
    try:
        send(folder, outbox, final=lambda: not follow or alone())
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
    # The SDK's exit hook would wait for the network once more; what did not arrive is not marked as sent.
    os._exit(code)
