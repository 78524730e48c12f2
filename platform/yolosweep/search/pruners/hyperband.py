"""Asynchronous Hyperband (Li et al. 2020): brackets of successive halving that begin later and later.

A trial's bracket follows from its name. Own code over the rule of ``asha``, because Optuna's ``HyperbandPruner`` writes
to its storage as it decides: asking would change the next answer.
"""

from __future__ import annotations

import zlib

from yolosweep.experiment.schema import Search
from yolosweep.records import EpochResult
from yolosweep.records.events import EpochRecorded, Event
from yolosweep.search.pruners.asha import AshaPruner, rungs

__all__ = ["HyperbandPruner"]


class HyperbandPruner:
    """Compares trials within their bracket; see ``Pruner``."""

    def __init__(self, search: Search, epochs: int) -> None:
        starts = rungs(search.grace_epochs or 1, search.reduction_factor, epochs)
        self._brackets = [AshaPruner(search.model_copy(update={"grace_epochs": start}), epochs) for start in starts]

    def should_stop(self, trial: str, row: EpochResult) -> bool:
        """Return whether a trial is behind at a rung of its bracket."""
        return bool(self._brackets) and self._bracket(trial).should_stop(trial, row)

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        if isinstance(event, EpochRecorded) and self._brackets:
            self._bracket(event.trial).apply(event)

    def _bracket(self, trial: str) -> AshaPruner:
        return self._brackets[zlib.crc32(trial.encode()) % len(self._brackets)]
