"""Ends a training that stands still, with the stacks of its threads on disk.

The timer is ``faulthandler``'s own thread in C: it fires also where a call into a library never gives Python back.
Where others cannot read this machine's disk, a thread of Python comes first, which can hand the stacks over.
"""

from __future__ import annotations

import faulthandler
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from yolosweep.backends import trainer_for
from yolosweep.records import TrialPolicy, TrialRequest

__all__ = ["Watchdog", "limit_s", "prepare_trainings"]

_REARM_S = 1.0
"""Progress is taken note of this often: setting the timer starts a thread."""

_TO_HAND_OVER_S = 30.0
"""What the stacks may take to be handed over, until C ends the process."""

_SETUP_FACTOR = 6.0
"""Before the first batch (scanning labels, decoding images for the cache) this many times the patience."""


def limit_s(epoch_seconds: list[float], policy: TrialPolicy) -> float:
    """Return how long a training may stand still: ``stall_timeout``, or ``stall_factor`` median epochs if longer."""
    median = statistics.median(epoch_seconds) if epoch_seconds else 0.0
    return max(policy.stall_timeout, policy.stall_factor * median)


def prepare_trainings(example: TrialRequest) -> None:
    """Make ready what trainings like this one share on this machine; where that stands still, the process ends."""
    faulthandler.dump_traceback_later(_SETUP_FACTOR * example.policy.stall_timeout, exit=True)
    trainer_for(example.model).prepare(example)
    faulthandler.cancel_dump_traceback_later()


class Watchdog:
    """Watches one training while the ``with`` block runs; without :meth:`alive` in time it ends the process.

    Args:
        stacks: file for the stacks of all threads; removed where it stays empty.
        policy: the experiment's ``trial`` section.
        hand_over: takes the file of the stacks before the process ends; None where it is read where it lies.
    """

    def __init__(self, stacks: Path, policy: TrialPolicy, hand_over: Callable[[Path], object] | None = None) -> None:
        self._path, self._policy, self._hand_over = stacks, policy, hand_over
        self._deadline, self._over = 0.0, threading.Event()
        self._epochs: list[float] = []
        self._set_at = 0.0
        self._file: IO[Any] | None = None

    def __enter__(self) -> Watchdog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        self._arm(_SETUP_FACTOR * self._policy.stall_timeout)
        if self._hand_over is not None:
            threading.Thread(target=self._watch, args=(self._hand_over,), name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        if self._file is not None:
            self._file.close()
        if self._path.exists() and not self._path.stat().st_size:
            self._path.unlink()

    def alive(self) -> None:
        """Take note of progress (a batch); cheap enough for every batch."""
        if time.monotonic() - self._set_at > _REARM_S:
            self._arm(limit_s(self._epochs, self._policy))

    def epoch(self, seconds: float | None) -> None:
        """Take note of a whole epoch."""
        if seconds is not None:
            self._epochs.append(seconds)
        self._arm(limit_s(self._epochs, self._policy))

    def _arm(self, timeout_s: float) -> None:
        assert self._file is not None
        self._set_at = time.monotonic()
        self._deadline = self._set_at + timeout_s
        last_s = timeout_s if self._hand_over is None else timeout_s + _TO_HAND_OVER_S
        faulthandler.dump_traceback_later(last_s, exit=True, file=self._file)

    def _watch(self, hand_over: Callable[[Path], object]) -> None:
        """End the process once the deadline has passed; it moves while there is progress.

        It moves to an earlier time too, when the first batch ends the setup: so it is looked at again and again.
        """
        while (left := self._deadline - time.monotonic()) > 0:
            if self._over.wait(min(left, _REARM_S)):
                return
        assert self._file is not None
        faulthandler.dump_traceback(self._file)
        try:
            hand_over(self._path)
        finally:
            os._exit(1)
