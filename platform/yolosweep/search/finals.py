"""The finals: the best trials and trial 0 are trained again with new seeds, the same for each.

A repeat is a trial like any other, with the parameters and the batch of the trial that it repeats. Neither searcher nor
pruner learns from repeats, so the finalists stay the same while their repeats train, and a resume decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from yolosweep.experiment.schema import Experiment, Finals
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.events import (
    CheckpointsDropped,
    EpochRecorded,
    Event,
    SweepResumed,
    TrialEnded,
    TrialResumed,
    TrialStarted,
)
from yolosweep.search.budget import room_for_another

__all__ = ["FinalRound", "Repeat", "SearchedOnly", "finalists"]

_SEEDS = 2**31
_BUDGETS = ("search.trials", "search.budget", "search.time_budget", "search.epoch_budget", "search.finals")
"""A resume that changes one of these may search on after finals."""
_TIME_SHARE = 3
"""Finals take at most one part of so many of a time budget."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A training to start: a trial again, with another seed."""

    trial: TrialHistory
    seed: int


class SearchedOnly:
    """Passes the ledger's events on, without those of repeats."""

    def __init__(self, *listeners: Callable[[Event], None]) -> None:
        self._listeners = listeners
        self._repeats: set[str] = set()

    def apply(self, event: Event) -> None:
        """Pass one event on, unless it is about a repeat."""
        if isinstance(event, TrialStarted) and event.request.repeats is not None:
            self._repeats.add(event.request.trial)
        if _trial_of(event) not in self._repeats:
            for listener in self._listeners:
                listener(event)


def _trial_of(event: Event) -> str | None:
    if isinstance(event, TrialStarted):
        return event.request.trial
    if isinstance(event, TrialEnded):
        return event.record.trial
    return event.trial if isinstance(event, (EpochRecorded, TrialResumed, CheckpointsDropped)) else None


def finalists(history: History, top: int, expected: Mapping[int, float]) -> list[TrialHistory]:
    """Return trial 0 and the best others that trained to their end, within all limits; empty without others.

    Args:
        history: the sweep.
        top: number of others.
        expected: final scores as the searcher's model expects them, by number; the score counts where it has none.
    """
    whole = [one for one in history.searched if _is_whole(one)]
    base = [one for one in whole if one.request.number == 0]
    outside = history.standing.outside
    others = [one for one in whole if one.request.number and one.request.trial not in outside]
    sign = -1.0 if history.mode == "max" else 1.0

    def rank(trial: TrialHistory) -> tuple[float, int]:
        number = trial.request.number
        return sign * expected.get(number, trial.score or 0.0), number

    return [*base, *sorted(others, key=rank)[:top]] if base and others else []


def _is_whole(trial: TrialHistory) -> bool:
    return trial.record is not None and trial.record.ending.is_natural and trial.score is not None


class FinalRound:
    """When the search makes room for the finals, and which repeat is next; functions of the history.

    Args:
        exp: the resolved experiment.
    """

    def __init__(self, exp: Experiment) -> None:
        self._search, self._epochs = exp.search, int(exp.space.epochs)
        self._finals = exp.search.finals or Finals(top=0)
        self._seeds = [(exp.seed + step) % _SEEDS for step in range(1, self._finals.seeds + 1)]
        self.has_begun = False
        """Whether the search is over because repeats were started."""

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        if isinstance(event, TrialStarted) and event.request.repeats is not None:
            self.has_begun = True
        elif isinstance(event, SweepResumed) and any(key.startswith(_BUDGETS) for key in event.changes):
            self.has_begun = False

    def reserved(self, history: History) -> int:
        """Return the trainings that are kept for the finals while the search goes on."""
        if not self._finals.top:
            return 0
        base = history.baseline
        done = len(self._repeated(history, base)) if base is not None else 0
        return max(0, self._finals.trainings - done)

    def may_search(self, history: History) -> bool:
        """Return whether the number of trials leaves room for another one beside the finals."""
        if self.has_begun:
            return False
        return self._search.trials is None or len(history.trials) + self.reserved(history) < self._search.trials

    def needs_the_rest(self, history: History, elapsed_s: float) -> bool:
        """Return whether the rest of the time budget is just enough for one more training and the finals.

        False where they would take too large a part of it: then the whole budget is the search's.
        """
        budget = self._search.time_budget
        if budget is None or not self._finals.top:
            return False
        seconds = [one.record.seconds for one in history.searched if one.record and _is_whole(one)]
        if not seconds:
            return False
        at_a_time = 1 + sum(one.record is None for one in history.trials.values())
        finals_s = math.ceil(self.reserved(history) / at_a_time) * fmean(seconds)
        return finals_s * _TIME_SHARE <= budget and budget - elapsed_s < finals_s + fmean(seconds)

    def next(self, history: History, expected: Callable[[], Mapping[int, float]]) -> Repeat | Literal["wait"] | None:
        """Return the next repeat once the search suggests no more; ``wait`` while searched trials train.

        Trial 0 is a finalist in any case, so its repeats need not wait.

        Args:
            history: the sweep.
            expected: see :func:`finalists`; called once all searched trials have ended.
        """
        if not self._finals.top:
            return None
        going = any(one.record is None for one in history.searched)
        chosen = finalists(history, self._finals.top, {} if going else expected())
        for seed in self._seeds:
            for trial in chosen[:1] if going else chosen:
                if seed not in self._repeated(history, trial):
                    return self._if_affordable(history, Repeat(trial=trial, seed=seed))
        return "wait" if going else None

    def _if_affordable(self, history: History, repeat: Repeat) -> Repeat | Literal["wait"] | None:
        if self._search.trials is not None and len(history.trials) >= self._search.trials:
            return None
        room = room_for_another(self._search, history, self._epochs)
        return repeat if room == "yes" else "wait" if room == "wait" else None

    def _repeated(self, history: History, trial: TrialHistory) -> set[int]:
        """Return the new seeds that a trial was started with."""
        return {one.request.seed or 0 for one in history.repeats(trial.request.trial)}.intersection(self._seeds)

    def shortfall(self, history: History) -> str | None:
        """Return a sentence where finals are not complete; None where they are, or were not asked for."""
        if not self._finals.top:
            return None
        planned = len(finalists(history, self._finals.top, {})) * self._finals.seeds
        ended = sum(one.record is not None and one.record.ending.is_final for one in history.repeats())
        if ended >= planned:
            return None
        return (
            f"{ended} of the {planned} trainings of the finals have ended; resume for the rest, with a larger "
            "budget where it was used up"
        )
