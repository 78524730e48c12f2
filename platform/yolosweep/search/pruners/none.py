"""No pruning."""

from __future__ import annotations

from yolosweep.experiment.schema import Search
from yolosweep.records import EpochResult
from yolosweep.records.events import Event

__all__ = ["NoPruner"]


class NoPruner:
    """Lets every trial train all its epochs; see ``Pruner``."""

    def __init__(self, search: Search, epochs: int) -> None:
        pass

    def should_stop(self, trial: str, row: EpochResult) -> bool:
        """Return False."""
        return False

    def apply(self, event: Event) -> None:
        """Learn nothing."""
