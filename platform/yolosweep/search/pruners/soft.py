"""Which trial to stop: one whose curve leaves hardly any chance to be among the best complete trainings.

The chance follows from the curve model, which learns from the complete trainings of this sweep how much such curves
still gain, late bloomers included. So nothing is stopped before some trainings are complete, and a share of all trials
is never stopped: they teach what stopped ones cannot. The bar is not the best score, which is partly luck, but one of
the next: the best settings need not have the best score of a sweep, and finals compare several trials.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from yolosweep.experiment.schema import Search
from yolosweep.records import EpochResult
from yolosweep.records.events import Event, TrialEnded
from yolosweep.search.forecasts import Forecasts

__all__ = ["SoftPruner"]

_UNTIL = 0.85
"""Share of the epochs after which stopping saves too little."""


@dataclass(frozen=True, kw_only=True)
class _Outlook:
    """A trial's forecast against the best complete trainings."""

    chance: float
    final: float
    bar: float


class SoftPruner:
    """See ``Pruner``; ``reason`` has the numbers.

    Args:
        search: the experiment's ``search`` section.
        epochs: epochs of one trial.
        chance: a trial stops below this chance to be among the best.
        top: how many are the best.
        complete: trainings that must be complete before any is stopped.
        protected: share of the trials that are never stopped.
    """

    def __init__(
        self, search: Search, epochs: int, *, chance: float, top: int, complete: int, protected: float
    ) -> None:
        self._chance, self._top, self._complete, self._protected = chance, top, complete, protected
        self._epochs, self._grace, self._mode = epochs, search.grace_epochs or 1, search.mode
        self._every = max(1, epochs // 20)
        self._forecasts = Forecasts(epochs, search.mode)
        self._limits = [one for one in search.objectives if one.limit is not None]
        self._outside = set[str]()
        """Trials beyond a limit: they are not what others have to beat."""

    def should_stop(self, trial: str, row: EpochResult) -> bool:
        """Return whether a trial has hardly any chance left."""
        outlook = self._outlook(trial, row)
        return outlook is not None and outlook.chance < self._chance

    def reason(self, trial: str, row: EpochResult) -> str:
        """Return a sentence with the numbers behind a stop."""
        outlook = self._outlook(trial, row)
        if outlook is None:
            return ""
        goal = "beat the best's" if self._top == 1 else f"be among the {self._top} best, which begin at"
        return (
            f"after epoch {row.epoch}: forecast to end at {outlook.final:.4g}, with a chance of {outlook.chance:.1%} "
            f"(under {100 * self._chance:g}%) to {goal} {outlook.bar:.4g} (scores smoothed over epochs)"
        )

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        self._forecasts.apply(event)
        if isinstance(event, TrialEnded):
            values = event.record.objectives
            if not all(one.is_met(values.get(one.metric)) for one in self._limits):
                self._outside.add(event.record.trial)

    def _outlook(self, trial: str, row: EpochResult) -> _Outlook | None:
        """Return the outlook of a trial; None where it is not judged."""
        if not self._is_judged(row.epoch) or is_protected(trial, self._protected):
            return None
        finals = [final for name, final in self._forecasts.complete.items() if name not in self._outside]
        forecast = self._forecasts.after(trial, row.score)
        if len(finals) < self._complete or forecast is None:
            return None
        bar = sorted(finals, reverse=self._mode == "max")[: self._top][-1]
        return _Outlook(chance=forecast.chance(bar, self._mode), final=forecast.final, bar=bar)

    def _is_judged(self, epoch: int) -> bool:
        return self._grace <= epoch <= _UNTIL * self._epochs and epoch < self._epochs and not epoch % self._every


def is_protected(trial: str, share: float) -> bool:
    """Return whether a trial is one of the share that is never stopped: by its name, so that a resume agrees."""
    return hashlib.sha256(trial.encode()).digest()[0] < 256 * share
