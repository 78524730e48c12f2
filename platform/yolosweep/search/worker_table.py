"""Which trials run, and where; and what is known of the worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from yolosweep.records.worker_activity import Activity

__all__ = ["Look", "WorkerTable"]

_DEAD_AT_START = 3
"""Worker processes in a row that may die before they begin a trial."""

_BACK_S = 600.0
"""A machine comes back within this time, or is gone."""

_QUIET_S = 5.0
"""Heartbeats of a healthy process are closer together, so its limit need not be worked out."""

_LATE_S = 10.0
"""Looks at the heartbeats are further apart than this only if who looks was held up, and the heartbeats with it."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the driver is asked to do, and to show."""

    hung: tuple[str, ...]
    """Worker processes to be killed."""
    settled: tuple[str, ...]
    """Trials that need no worker any more."""
    activities: tuple[Activity, ...]


class WorkerTable:
    """The worker processes of a sweep, by Ray's id of their actors, and the trials that they run."""

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        """The nodes of the trials that run."""
        self.devices: dict[str, str] = {}
        """The devices of the nodes, once a trial has ended there."""
        self._leaving: set[str] = set()
        self._heard: dict[str, float] = {}
        self._activities: dict[str, Activity | None] = {}
        self._looked_at = self._busy_at = 0.0
        self._dead_in_a_row = 0

    def begin(self, trial: str, node: str) -> None:
        """Note that a process on a node begins a trial."""
        self.running[trial] = node
        self._leaving.discard(trial)
        self._dead_in_a_row = 0

    def release(self, trial: str, device: str) -> None:
        """Note that a training has ended, and remember the device of its node."""
        if (node := self.running.pop(trial, None)) is not None and device != "unknown":
            self.devices[node] = device

    def leaving(self, trial: str) -> None:
        """Note that the process that has a trial is about to be replaced by another one: its end is no loss."""
        self._leaving.add(trial)

    def mark_lost(self, trial: str) -> Literal["running", "expected", "idle", "hopeless"]:
        """Note that the process that had a trial died, and return what that means.

        ``idle`` if it had not begun the trial, or ``hopeless`` if processes keep dying so.
        """
        expected = trial in self._leaving
        self._leaving.discard(trial)
        if self.running.pop(trial, None) is not None:
            return "running"
        if expected:
            return "expected"
        self._dead_in_a_row += 1
        # While others train, it is a node that cannot start workers, not the sweep.
        return "hopeless" if self._dead_in_a_row >= _DEAD_AT_START and not self.running else "idle"

    def heartbeat(self, worker: str, now: float, activity: Activity | None = None) -> None:
        """Note that a worker process is alive, and what it does."""
        self._heard[worker] = now
        self._activities[worker] = activity

    def silent(self, busy: Mapping[str, str], now: float, limit_s: Callable[[str], float]) -> list[str]:
        """Return the workers that have sent no heartbeat for too long; to be called every few seconds.

        Args:
            busy: the workers that have a trial, and which; all others are forgotten.
            now: the time, seconds.
            limit_s: how long the process that has a trial may be silent.
        """
        late = now - self._looked_at > _LATE_S
        self._looked_at = now
        self._heard = {worker: now if late else self._heard.get(worker, now) for worker in busy}
        self._activities = {worker: self._activities.get(worker) for worker in busy}
        quiet = [worker for worker, at in self._heard.items() if now - at > _QUIET_S]
        return [worker for worker in quiet if now - self._heard[worker] > limit_s(busy[worker])]

    def forget_devices(self, now: float) -> bool:
        """Forget the devices once nothing has run for long: a trial may wait for one that is gone. Return whether."""
        if self.running or not self.devices:
            self._busy_at = now
        if now - self._busy_at <= _BACK_S:
            return False
        self.devices.clear()
        return True

    def activities(self) -> list[Activity]:
        """Return what the workers do, ordered by trial; without those that wait."""
        found = [activity for activity in self._activities.values() if activity is not None]
        return sorted(found, key=lambda activity: activity.trial)
