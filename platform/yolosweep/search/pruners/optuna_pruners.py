"""The adapter to Optuna's pruners that only read: a new one is a module with one function, such as ``median.py``.

Pruners that write to Optuna's storage as they decide (successive halving, Hyperband) cannot be used: asking would
change the next answer, and a resumed sweep would decide differently.
"""

from __future__ import annotations

import math
import warnings

import optuna

from yolosweep.experiment.schema import Search
from yolosweep.records import EpochResult
from yolosweep.records.events import EpochRecorded, Event, TrialEnded, TrialResumed

__all__ = ["OptunaPruner"]


class OptunaPruner:
    """See ``Pruner``.

    Args:
        search: the experiment's ``search`` section.
        epochs: epochs of one trial.
        pruner: Optuna's pruner; it compares with the trials that ended by themselves.
    """

    def __init__(self, search: Search, epochs: int, pruner: optuna.pruners.BasePruner) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize" if search.mode == "max" else "minimize")
        self._pruner, self._epochs, self._grace = pruner, epochs, search.grace_epochs or 1
        self._scores: dict[str, dict[int, float]] = {}

    def should_stop(self, trial: str, row: EpochResult) -> bool:
        """Return Optuna's answer for the epochs that it owns."""
        if not self._grace <= row.epoch < self._epochs:
            return False
        scores = {**self._scores.get(trial, {}), row.epoch: _number(row.score)}
        running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=scores)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch without a score
            return bool(self._pruner.prune(self._study, running))

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        if isinstance(event, EpochRecorded):
            self._scores.setdefault(event.trial, {})[event.row.epoch] = _number(event.row.score)
        elif isinstance(event, TrialResumed):
            known = self._scores.get(event.trial, {})
            self._scores[event.trial] = {epoch: score for epoch, score in known.items() if epoch <= event.from_epoch}
        elif isinstance(event, TrialEnded) and event.record.ending.is_natural and event.record.score is not None:
            scores = self._scores.get(event.record.trial, {})
            self._study.add_trial(optuna.trial.create_trial(value=event.record.score, intermediate_values=scores))


def _number(score: float | None) -> float:
    return math.nan if score is None else score
