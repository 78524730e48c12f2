"""Which trial sits in which slot, and what is known of the processes behind the slots."""

from __future__ import annotations

from typing import Literal

__all__ = ["WorkerTable"]

_DEAD_AT_START = 3
"""Worker processes in a row that may die before they ask for a trial."""

_BACK_S = 600.0
"""A process that was lost or replaced has a new one that asks by then, or its machine is gone."""


class WorkerTable:
    """Seats of the trials that run now."""

    def __init__(self) -> None:
        self._trial: dict[int, str] = {}
        self._idle: set[int] = set()
        self._replacing: set[int] = set()
        self._device: dict[int, str] = {}
        self._away: dict[int, float] = {}
        self._dead_in_a_row = 0

    def heartbeat(self, slot: int) -> None:
        """Take note that a slot's process asks for work."""
        self._replacing.discard(slot)
        self._away.pop(slot, None)
        self._dead_in_a_row = 0

    def assign(self, slot: int, trial: str) -> None:
        """Give a slot to a trial."""
        self._idle.discard(slot)
        self._trial[slot] = trial

    def release(self, trial: str, device: str) -> None:
        """Take note that a trial ended, and of the device its slot has."""
        for slot in [slot for slot, sitting in self._trial.items() if sitting == trial]:
            self._device[slot] = device
            del self._trial[slot]

    def replacing(self, slot: int, now: float) -> None:
        """Take note that a process is about to be replaced by a fresh one: its end is no loss."""
        self._idle.discard(slot)
        self._replacing.add(slot)
        self._away[slot] = now

    def mark_lost(self, slot: int, now: float) -> tuple[str | None, Literal["", "idle", "hopeless"]]:
        """Take note that a slot's process died.

        Returns:
            The trial it ran, if any; and where it ran none, but was not about to be replaced either, ``idle``, or
            ``hopeless`` where processes die so again and again.
        """
        self._idle.discard(slot)
        self._away[slot] = now
        trial = self._trial.pop(slot, None)
        if slot in self._replacing:  # one that is replaced comes back to the GPU it had, as good as always
            self._replacing.discard(slot)
            return trial, ""
        self._device.pop(slot, None)
        if trial is not None:
            return trial, ""
        self._dead_in_a_row += 1
        # While others train, it is some node that cannot begin, not the sweep.
        return None, "hopeless" if self._dead_in_a_row >= _DEAD_AT_START and not self._trial else "idle"

    def is_busy(self, slot: int) -> bool:
        """Tell whether a trial sits in a slot."""
        return slot in self._trial

    def device(self, slot: int) -> str | None:
        """Return the device of a slot, where a trial of it has ended."""
        return self._device.get(slot)

    def any_busy(self) -> bool:
        """Tell whether any trial runs."""
        return bool(self._trial)

    def any_away(self, now: float) -> bool:
        """Tell whether a process was lost or replaced a while ago whose successor has not asked yet."""
        return any(now - since < _BACK_S for since in self._away.values())

    def keep_spare(self, slot: int) -> bool:
        """Keep a slot without a trial as the one spare; False where there is another one already."""
        if self._idle - {slot}:
            return False
        self._idle.add(slot)
        return True

    def retire(self, slot: int) -> None:
        """Take note that a slot gets no more work."""
        self._idle.discard(slot)
