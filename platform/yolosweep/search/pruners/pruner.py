"""The interface of a pruner: which trial to stop.

To add one, write a module beside this one and list it in ``yolosweep.experiment.search_choices``. A pruner learns from
the ledger's events alone, so that a resumed sweep gives the same verdicts. The last epoch of a trial is never its
business: a trial that reached it has finished.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from yolosweep.experiment.schema import Search
from yolosweep.experiment.search_choices import PRUNERS
from yolosweep.records import EpochResult
from yolosweep.records.events import Event

__all__ = ["ExplainingPruner", "Pruner", "pruner_for"]


class Pruner(Protocol):
    """Decides after each epoch whether a trial goes on."""

    def should_stop(self, trial: str, row: EpochResult) -> bool:
        """Return whether a trial stops after this row, which the ledger does not hold yet."""

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""


@runtime_checkable
class ExplainingPruner(Pruner, Protocol):
    """A pruner that gives the numbers behind a stop, for the ledger and the trial's record."""

    def reason(self, trial: str, row: EpochResult) -> str:
        """Return a sentence on why the trial stops after this row."""


def pruner_for(search: Search, epochs: int) -> Pruner:
    """Return the pruner an experiment asks for.

    Args:
        search: the experiment's ``search`` section.
        epochs: epochs of one trial.
    """
    choice = PRUNERS[search.pruner]
    module, _, factory = choice.factory.partition(":")
    options = choice.with_defaults(search.pruner_options)
    return cast(Pruner, getattr(import_module(module), factory)(search, epochs, **options))
