"""Whether the epoch budget holds another trial: a pure rule."""

from __future__ import annotations

from typing import Literal

from yolosweep.experiment.schema import Search
from yolosweep.ledger.history import History

__all__ = ["room_for_another"]


def room_for_another(search: Search, history: History, epochs: int, reserved: int = 0) -> Literal["yes", "wait", "no"]:
    """Return whether a trial of so many epochs may start; ``wait`` if that depends on how the running ones end.

    Args:
        search: the experiment's ``search`` section.
        history: the sweep.
        epochs: epochs of one trial.
        reserved: trials that the budget must still hold after it.
    """
    if search.epoch_budget is None:
        return "yes"
    trained, budget = history.epochs(), search.epoch_budget - reserved * epochs
    if trained + epochs > budget:
        return "no"
    return "wait" if trained + history.epochs_left() + epochs > budget else "yes"
