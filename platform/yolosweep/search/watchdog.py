"""Ends a training that stands still, with the stacks of its threads on disk.

The timer is ``faulthandler``'s own thread in C: it fires also where a call into a library never gives Python back.
"""

from __future__ import annotations

import faulthandler
import statistics
import time
from pathlib import Path
from typing import IO, Any

from yolosweep.experiment.schema import Policy

__all__ = ["Watchdog", "limit_s"]

_REARM_S = 1.0
"""Progress is taken note of this often: setting the timer starts a thread."""

_SETUP_FACTOR = 6.0
"""Before the first batch (scanning labels, decoding images for the cache) this many times the patience."""


def limit_s(epoch_seconds: list[float], policy: Policy) -> float:
    """Return how long a training may stand still: ``stall_timeout``, or ``stall_factor`` median epochs if longer."""
    median = statistics.median(epoch_seconds) if epoch_seconds else 0.0
    return max(policy.stall_timeout, policy.stall_factor * median)


class Watchdog:
    """Watches one training while the ``with`` block runs; without :meth:`alive` in time it ends the process.

    Args:
        stacks: file for the stacks of all threads; removed where it stays empty.
        policy: the experiment's ``trial`` section.
    """

    def __init__(self, stacks: Path, policy: Policy) -> None:
        self._path, self._policy = stacks, policy
        self._epochs: list[float] = []
        self._set_at = 0.0
        self._file: IO[Any] | None = None

    def __enter__(self) -> Watchdog:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        self._arm(_SETUP_FACTOR * self._policy.stall_timeout)
        return self

    def __exit__(self, *_: object) -> None:
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
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=self._file)
