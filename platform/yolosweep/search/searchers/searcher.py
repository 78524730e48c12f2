"""The interface of a searcher: what to try next, given what was tried.

To add one, write a module beside this one and list it in ``yolosweep.experiment.search_choices``. A searcher learns
from the calls below alone, which replay the ledger when a sweep is resumed: the same calls must give the same
suggestions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

from yolosweep.experiment import Parameter
from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.records.objectives import Objective, Values
from yolosweep.search.forecasts import Forecasts

__all__ = [
    "ConstrainedSearcher",
    "CurveSearcher",
    "InformedSearcher",
    "ModelSearcher",
    "MultiObjectiveSearcher",
    "ScaledSearcher",
    "Searcher",
    "searcher_for",
]


class Searcher(Protocol):
    """Suggests parameters and learns from scores."""

    def suggest(self, number: int, attempt: int = 0) -> dict[str, Any] | None:
        """Return parameters for trial ``number``; None when every point was suggested. Asking teaches nothing.

        A searcher that is ``is_exhaustive`` is different: each call, whatever its arguments, returns the next point.

        Args:
            number: the trial's number.
            attempt: raised to get another answer after one that was already tried.
        """

    def started(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Learn that a trial runs with these parameters."""

    def tell(self, number: int, used: Mapping[str, Any], score: float | None, *, learned: bool = True) -> None:
        """Learn how a trial ended.

        Args:
            number: the trial's number.
            used: parameters as really used; where they differ from the asked ones, these are what is learned.
            score: best score; None counts as worst.
            learned: False where the trial says nothing about its parameters (its worker died).
        """


@runtime_checkable
class CurveSearcher(Searcher, Protocol):
    """A searcher that learns from what trials would score at their end."""

    def watch(self, forecasts: Forecasts) -> None:
        """Keep the forecasts, which follow the ledger by themselves."""


@runtime_checkable
class ConstrainedSearcher(Searcher, Protocol):
    """A searcher that suggests what the constraints allow; suggestions of others are asked for again."""

    def keep_to(self, allows: Callable[[Mapping[str, Any]], bool]) -> None:
        """Keep to the parameters that this function allows."""


@runtime_checkable
class MultiObjectiveSearcher(Searcher, Protocol):
    """A searcher that takes several objectives, with or without limits."""

    def aim(self, objectives: Sequence[Objective]) -> None:
        """Search for several objectives, from before the first trial on; the first one is the score."""

    def measured(self, number: int, values: Values) -> None:
        """Learn the value of each objective of a trial, right before it learns how the trial ended."""


@runtime_checkable
class ScaledSearcher(Searcher, Protocol):
    """A searcher that uses prior knowledge of how sensitive the score is to a parameter."""

    def expect(self, decades: Mapping[str, float]) -> None:
        """Learn over how many decades of these parameters the score typically changes, before the first trial."""


@runtime_checkable
class InformedSearcher(Searcher, Protocol):
    """A searcher that learns from earlier sweeps, too."""

    def learn_earlier(self, trials: Sequence[EarlierTrial]) -> None:
        """Learn from trials of earlier sweeps, before the first trial of this one."""


@runtime_checkable
class ModelSearcher(Searcher, Protocol):
    """A searcher with a model of the scores, in which one lucky score counts less than its neighbours."""

    def expected_scores(self) -> dict[int, float]:
        """Return the expected final score of each trial that ended, by number; empty while too little is known."""


def searcher_for(
    name: str,
    space: Mapping[str, Parameter],
    *,
    seed: int,
    mode: str,
    options: Mapping[str, float] | None = None,
) -> Searcher:
    """Return a new searcher.

    Args:
        name: a key of ``SEARCHERS``.
        space: the searched parameters.
        seed: seed of the search.
        mode: ``max`` or ``min``.
        options: ``search.searcher_options``.
    """
    choice = SEARCHERS[name]
    module, _, factory = choice.factory.partition(":")
    given = choice.with_defaults(options)
    return cast(Searcher, getattr(import_module(module), factory)(space, seed=seed, mode=mode, **given))
