"""Counts the batches of an epoch and says about once a second how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from yolosweep.records.worker_activity import Activity, Stage

__all__ = ["ActivityMeter", "Watch", "unwatched"]

Watch = Callable[[Activity], None]
"""Takes what a training does at this moment; it returns at once."""

_EVERY_S = 1.0


def unwatched(activity: Activity) -> None:
    """Ignore an activity."""


class ActivityMeter:
    """Follows one training through its stages.

    Args:
        trial: the trial.
        watch: receives an activity when a stage begins, and at most every ``every_s`` within it.
        every_s: reading a loss from a GPU waits for the GPU, so it is not done for every batch.
        clock: seconds.
    """

    def __init__(
        self, trial: str, watch: Watch, *, every_s: float = _EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._watch, self._every_s, self._clock = watch, every_s, clock
        self._now = Activity(stage=Stage.SET_UP, trial=trial)
        self._began = self._shown = clock()
        self._done = 0

    def begin(self, stage: Stage, *, epoch: int | None = None, of: int = 0) -> None:
        """Begin a stage: ``of`` batches, in the epoch of the stage before unless one is named."""
        epoch = self._now.epoch if epoch is None else epoch
        self._now = Activity(stage=stage, trial=self._now.trial, epoch=epoch, of=of, losses=self._now.losses)
        self._began = self._shown = self._clock()
        self._done = 0
        self._watch(self._now)

    def batch(
        self,
        losses: Callable[[], Mapping[str, float]] | None = None,
        gpu_memory_mb: Callable[[], float | None] | None = None,
    ) -> None:
        """Count a batch; the functions are called only if an activity is due."""
        self._done += 1
        now = self._clock()
        if now - self._shown < self._every_s:
            return
        self._shown = now
        self._now = self._now.model_copy(
            update={
                "done": self._done,
                "batches_per_s": self._done / (now - self._began),
                "losses": dict(losses()) if losses else self._now.losses,
                "gpu_memory_mb": gpu_memory_mb() if gpu_memory_mb else self._now.gpu_memory_mb,
            }
        )
        self._watch(self._now)
