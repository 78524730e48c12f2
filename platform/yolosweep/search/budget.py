"""Whether the budgets in epochs and in trainings hold another trial: a pure rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from yolosweep.experiment.schema import Search
from yolosweep.ledger.history import History

__all__ = ["room_for_another", "used_up"]

_ROUNDING = 1e-9


def room_for_another(search: Search, history: History, epochs: int, reserved: int = 0) -> Literal["yes", "wait", "no"]:
    """Return whether a trial of so many epochs may start; ``wait`` if that depends on how the running ones end.

    Args:
        search: the experiment's ``search`` section.
        history: the sweep.
        epochs: epochs of one trial.
        reserved: trials that the budget must still hold after it.
    """
    amounts = list(_amounts(search, history, epochs))
    if any(used + (1 + reserved) * one > budget + _ROUNDING for used, _, one, budget in amounts):
        return "no"
    fits = all(planned + (1 + reserved) * one <= budget + _ROUNDING for _, planned, one, budget in amounts)
    return "yes" if fits else "wait"


def _amounts(search: Search, history: History, epochs: int) -> Iterator[tuple[float, float, float, float]]:
    """Yield for each budget what was used, what is used at most once all have ended, one more trial, and the budget."""
    if search.epoch_budget is not None:
        trained = history.epochs()
        yield trained, trained + history.epochs_left(), epochs, search.epoch_budget
    if search.trainings is not None:
        yield history.trainings(), history.trainings(planned=True), 1.0, search.trainings


def used_up(search: Search, history: History) -> str:
    """Return why no other trial starts."""
    if search.trainings is None:
        return f"the epoch budget of {search.epoch_budget} does not hold another trial"
    return f"the budget of {search.budget} does not hold another trial: {history.trainings():.2f}x was used"
