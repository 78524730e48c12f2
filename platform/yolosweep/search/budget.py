"""Whether the epoch budget holds another trial: a pure rule."""

from __future__ import annotations

from typing import Literal

from yolosweep.experiment.schema import Search
from yolosweep.ledger.history import History

__all__ = ["room_for_another"]


def room_for_another(search: Search, history: History, epochs: int) -> Literal["yes", "wait", "no"]:
    """Return whether a trial of so many epochs may start; ``wait`` if that depends on how the running ones end."""
    if search.epoch_budget is None:
        return "yes"
    trained = history.epochs()
    if trained + epochs > search.epoch_budget:
        return "no"
    return "wait" if trained + history.epochs_left() + epochs > search.epoch_budget else "yes"
