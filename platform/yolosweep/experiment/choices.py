"""The searchers and pruners an experiment can name, and where each is implemented.

This is the only registration: schema, messages, JSON schema and search read these tables. A factory is
``module:name``; it is imported when a sweep starts, so listing one here loads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRUNERS", "SEARCHERS", "PrunerChoice", "SearcherChoice"]


@dataclass(frozen=True, kw_only=True)
class SearcherChoice:
    """A value of ``search.searcher``."""

    summary: str
    factory: str
    """Called with the space, ``seed`` and ``mode``; returns a ``yolosweep.search.searchers.searcher.Searcher``."""
    is_exhaustive: bool = False
    """Whether it tries every point of the space once, so that the space must be finite and small."""


@dataclass(frozen=True, kw_only=True)
class PrunerChoice:
    """A value of ``search.pruner``."""

    summary: str
    factory: str
    """Called with the ``search`` section and the epochs; returns a ``yolosweep.search.pruners.pruner.Pruner``."""
    has_grace: bool = False
    """Whether ``grace_epochs`` applies."""
    has_rungs: bool = False
    """Whether ``reduction_factor`` applies too."""


SEARCHERS: dict[str, SearcherChoice] = {
    "gp": SearcherChoice(
        summary="a Gaussian process on forecast final scores", factory="yolosweep.search.searchers.gp:GpSearcher"
    ),
    "tpe": SearcherChoice(summary="Optuna's multivariate TPE", factory="yolosweep.search.searchers.tpe:tpe"),
    "random": SearcherChoice(
        summary="independent random points", factory="yolosweep.search.searchers.random_search:random_search"
    ),
    "grid": SearcherChoice(
        summary="every combination, once", factory="yolosweep.search.searchers.grid:Grid", is_exhaustive=True
    ),
}

PRUNERS: dict[str, PrunerChoice] = {
    "soft": PrunerChoice(
        summary="stops trials that have hardly any chance to beat the best, as a model of the curves says",
        factory="yolosweep.search.pruners.soft:SoftPruner",
        has_grace=True,
    ),
    "asha": PrunerChoice(
        summary="stops trials that are behind at a rung (asynchronous successive halving)",
        factory="yolosweep.search.pruners.asha:AshaPruner",
        has_grace=True,
        has_rungs=True,
    ),
    "none": PrunerChoice(summary="every trial trains all its epochs", factory="yolosweep.search.pruners.none:NoPruner"),
}
