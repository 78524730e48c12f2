"""Which trial runs on which worker, and what is known of the worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from yolosweep.records.activity import Activity

__all__ = ["WorkerTable"]

_DEAD_AT_START = 3
"""Worker processes in a row that may die before they ask for a trial."""

_BACK_S = 600.0
"""A lost or replaced process has a successor that asks within this time, or its machine is gone."""

_QUIET_S = 5.0
"""Heartbeats of a healthy process are closer together, so its limit need not be worked out."""

_LATE_S = 10.0
"""Looks at the heartbeats are further apart than this only if who looks was held up, and the heartbeats with it."""


class WorkerTable:
    """The workers of a sweep, by number; a worker outlives its processes."""

    def __init__(self) -> None:
        self._trial: dict[int, str] = {}
        self._idle: set[int] = set()
        self._replacing: set[int] = set()
        self._device: dict[int, str] = {}
        self._away: dict[int, float] = {}
        self._heard: dict[int, float] = {}
        self._activities: dict[int, Activity | None] = {}
        self._retired: set[int] = set()
        self._looked_at = 0.0
        self._dead_in_a_row = 0

    def heartbeat(self, worker: int, now: float, activity: Activity | None = None) -> None:
        """Note that a worker's process is alive, and what it does."""
        if worker in self._retired:
            return
        self._heard[worker] = now
        self._activities[worker] = activity

    def activities(self) -> list[Activity]:
        """Return what the workers do, in the order of their numbers; without those that wait."""
        found = (self._activities[worker] for worker in sorted(self._activities))
        return [activity for activity in found if activity is not None]

    def silent(self, now: float, limit_s: Callable[[str | None], float]) -> list[int]:
        """Return the workers whose processes have sent no heartbeat for too long; to be called every few seconds.

        Args:
            now: the time, seconds.
            limit_s: how long the process that runs a trial, or None, may be silent.
        """
        if now - self._looked_at > _LATE_S:
            self._heard = dict.fromkeys(self._heard, now)
        self._looked_at = now
        quiet = [worker for worker, at in self._heard.items() if now - at > _QUIET_S]
        return [worker for worker in quiet if now - self._heard[worker] > limit_s(self._trial.get(worker))]

    def ask(self, worker: int) -> None:
        """Note that a worker's process asks for work."""
        self._retired.discard(worker)
        self._replacing.discard(worker)
        self._away.pop(worker, None)
        self._dead_in_a_row = 0

    def assign(self, worker: int, trial: str) -> None:
        """Assign a trial to a worker."""
        self._idle.discard(worker)
        self._trial[worker] = trial

    def release(self, trial: str, device: str) -> None:
        """Release the worker of a trial that ended, and remember its device."""
        for worker in [worker for worker, assigned in self._trial.items() if assigned == trial]:
            self._device[worker] = device
            del self._trial[worker]

    def replacing(self, worker: int, now: float) -> None:
        """Note that a process is about to be replaced by a fresh one: its end is no loss."""
        self._idle.discard(worker)
        self._activities.pop(worker, None)
        self._replacing.add(worker)
        self._away[worker] = now

    def mark_lost(self, worker: int, now: float) -> tuple[str | None, Literal["", "idle", "hopeless"]]:
        """Note that a worker's process died.

        Returns:
            The trial it ran, if any; and if it ran none and was not being replaced, ``idle``, or ``hopeless`` if
            processes keep dying so.
        """
        self._idle.discard(worker)
        self._heard.pop(worker, None)
        self._activities.pop(worker, None)
        self._away[worker] = now
        trial = self._trial.pop(worker, None)
        if worker in self._replacing:  # its successor gets the same GPU
            self._replacing.discard(worker)
            return trial, ""
        self._device.pop(worker, None)
        if trial is not None:
            return trial, ""
        self._dead_in_a_row += 1
        # While others train, it is a node that cannot start workers, not the sweep.
        return None, "hopeless" if self._dead_in_a_row >= _DEAD_AT_START and not self._trial else "idle"

    def is_busy(self, worker: int) -> bool:
        """Return whether a trial is assigned to a worker."""
        return worker in self._trial

    def device(self, worker: int) -> str | None:
        """Return the device of a worker, once a trial of it has ended."""
        return self._device.get(worker)

    def any_busy(self) -> bool:
        """Return whether any trial runs."""
        return bool(self._trial)

    def any_away(self, now: float) -> bool:
        """Return whether a successor of a lost or replaced process may still come."""
        return any(now - since < _BACK_S for since in self._away.values())

    def keep_spare(self, worker: int) -> bool:
        """Keep an idle worker as the one spare; False if there is another one."""
        if self._idle - {worker}:
            return False
        self._idle.add(worker)
        return True

    def retire(self, worker: int) -> None:
        """Note that a worker gets no more trials."""
        self._idle.discard(worker)
        self._heard.pop(worker, None)
        self._activities.pop(worker, None)
        self._retired.add(worker)
