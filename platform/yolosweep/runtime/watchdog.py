"""End a training that stalls, and write the stacks of its threads to disk.

The timer is a C thread of ``faulthandler``, so it fires even if a library call never returns to Python. If other nodes
cannot read this machine's disk, a Python thread with an earlier deadline publishes the stacks.

A process that is stopped as a whole runs no timer: the controller notices its silence (``SweepController.hung``).
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from yolosweep.backends import trainer_for
from yolosweep.records import TrialPolicy, TrialRequest
from yolosweep.search.stall_limits import SETUP_FACTOR, limit_s

__all__ = ["Watchdog", "prepare_trainings"]

_REARM_S = 1.0
"""The timer is reset at most this often, because setting it starts a thread."""

_PUBLISH_S = 30.0
"""How long publishing the stacks may take until the C thread ends the process."""


def prepare_trainings(example: TrialRequest) -> None:
    """Warm the caches shared by trainings like this one; the process ends if that stalls."""
    faulthandler.dump_traceback_later(SETUP_FACTOR * example.policy.stall_timeout, exit=True)
    trainer_for(example.model).prepare(example)
    faulthandler.cancel_dump_traceback_later()


class Watchdog:
    """Watches one training during the ``with`` block; ends the process unless :meth:`progress` is called in time.

    Args:
        stacks: file for the stacks of all threads; removed if it stays empty.
        policy: the experiment's ``trial`` section.
        publish: called with the stacks file before the process ends; None if the file's folder is shared.
        setup_factor: the limit before the first epoch, as a multiple of ``stall_timeout``.
    """

    def __init__(
        self,
        stacks: Path,
        policy: TrialPolicy,
        publish: Callable[[Path], object] | None = None,
        *,
        setup_factor: float = SETUP_FACTOR,
    ) -> None:
        self._path, self._policy, self._publish, self._setup_factor = stacks, policy, publish, setup_factor
        self._deadline, self._over = 0.0, threading.Event()
        self._epochs: list[float] = []
        self._set_at = 0.0
        self._file: IO[Any] | None = None

    def __enter__(self) -> Watchdog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        self._arm(self._setup_factor * self._policy.stall_timeout)
        if self._publish is not None:
            threading.Thread(target=self._watch, args=(self._publish,), name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        if self._file is not None:
            self._file.close()
        if self._path.exists() and not self._path.stat().st_size:
            self._path.unlink()

    def progress(self) -> None:
        """Record progress; cheap enough to call for every batch."""
        if time.monotonic() - self._set_at > _REARM_S:
            self._arm(limit_s(self._epochs, self._policy))

    def epoch(self, seconds: float | None) -> None:
        """Record the end of an epoch and its duration."""
        if seconds is not None:
            self._epochs.append(seconds)
        self._arm(limit_s(self._epochs, self._policy))

    def _arm(self, timeout_s: float) -> None:
        assert self._file is not None
        self._set_at = time.monotonic()
        self._deadline = self._set_at + timeout_s
        kill_s = timeout_s if self._publish is None else timeout_s + _PUBLISH_S
        faulthandler.dump_traceback_later(kill_s, exit=True, file=self._file)

    def _watch(self, publish: Callable[[Path], object]) -> None:
        """End the process once the deadline has passed.

        Progress moves the deadline, also to an earlier time when the first epoch ends the setup, so it is polled.
        """
        while (left := self._deadline - time.monotonic()) > 0:
            if self._over.wait(min(left, _REARM_S)):
                return
        assert self._file is not None
        faulthandler.dump_traceback(self._file)
        try:
            publish(self._path)
        finally:
            os._exit(1)
