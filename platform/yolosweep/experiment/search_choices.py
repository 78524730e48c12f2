"""The searchers and pruners an experiment can name, and where each is implemented.

This is the only registration: schema, messages, JSON schema and search read these tables. A factory is
``module:name``; it is imported when a sweep starts, so listing one here loads nothing. Another package adds its own by
entry points in the groups ``yolosweep.searchers`` and ``yolosweep.pruners``; it cannot replace one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

__all__ = ["PRUNERS", "SEARCHERS", "Choice", "Option", "PrunerChoice", "SearcherChoice"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """A number under ``search.searcher_options`` or ``search.pruner_options``; a whole one if the default is."""

    summary: str
    default: float
    low: float
    high: float

    def fault(self, value: float) -> str | None:
        """Return what is wrong with a value; None if it can be used."""
        whole = isinstance(self.default, int)
        if self.low <= value <= self.high and not (whole and value % 1):
            return None
        kind = "a whole number" if whole else "a number"
        return f"{value:g} must be {kind} from {self.low:g} to {self.high:g}; the default is {self.default:g}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A word that an experiment can name, and where it is implemented."""

    summary: str
    factory: str
    options: Mapping[str, Option] = field(default_factory=dict)
    """Passed to the factory by name."""

    def with_defaults(self, given: Mapping[str, float] | None) -> dict[str, float]:
        """Return the value of each option."""
        values = {**{name: option.default for name, option in self.options.items()}, **(given or {})}
        return {name: type(self.options[name].default)(value) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class SearcherChoice(Choice):
    """A value of ``search.searcher``.

    The factory is called with the space, ``seed``, ``mode`` and its options; it returns a
    ``yolosweep.search.searchers.searcher.Searcher``.
    """

    is_exhaustive: bool = False
    """Whether it tries every point of the space once, one a call, so that the space must be finite and small."""
    learns: bool = True
    """Whether its suggestions follow the scores."""
    has_objectives: bool = False
    """Whether they follow several objectives, and limits on them, too: it is a ``MultiObjectiveSearcher``."""


@dataclass(frozen=True, kw_only=True)
class PrunerChoice(Choice):
    """A value of ``search.pruner``.

    The factory is called with the ``search`` section, the epochs and its options; it returns a
    ``yolosweep.search.pruners.pruner.Pruner``.
    """

    has_grace: bool = False
    """Whether ``grace_epochs`` applies."""
    has_rungs: bool = False
    """Whether ``reduction_factor`` applies too."""
    judges: bool = True
    """Whether it stops trials at all, which it does by their score alone."""
    knows_limits: bool = False
    """Whether it compares with none but the trials within the limits of ``search.objectives``."""


def _summary(point: EntryPoint) -> str:
    """Return what a list says about a word of another package."""
    return f"of the installed package {point.dist.name}" if point.dist is not None else "of an installed package"


_COMPLETE = Option(summary="trials that must be complete before any is stopped", default=5, low=1, high=1000)

SEARCHERS: dict[str, SearcherChoice] = {
    point.name: SearcherChoice(summary=_summary(point), factory=point.value)
    for point in entry_points(group="yolosweep.searchers")
} | {
    "gp": SearcherChoice(
        summary="a Gaussian process on forecasts of final scores, the defaults as its prior",
        factory="yolosweep.search.searchers.gp:GpSearcher",
        has_objectives=True,
        options={
            "first": Option(summary="trials before the process decides", default=6, low=1, high=1000),
            "cost": Option(
                summary="exponent of the seconds of an epoch that expected improvement is divided by; 0 ignores them",
                default=0.0,
                low=0.0,
                high=2.0,
            ),
        },
    ),
    "tpe": SearcherChoice(
        summary="Optuna's multivariate TPE",
        factory="yolosweep.search.searchers.tpe:tpe",
        has_objectives=True,
        options={"first": Option(summary="random trials before TPE decides", default=10, low=1, high=1000)},
    ),
    "cmaes": SearcherChoice(
        summary="Optuna's CMA-ES; words and switches are drawn at random",
        factory="yolosweep.search.searchers.cmaes:cmaes",
        options={
            "population": Option(summary="trials of a generation; 0: 4 + 3 ln(parameters)", default=0, low=0, high=1000)
        },
    ),
    "nsga2": SearcherChoice(
        summary="Optuna's NSGA-II, a genetic algorithm",
        factory="yolosweep.search.searchers.nsga2:nsga2",
        has_objectives=True,
        options={
            "population": Option(summary="trials of a generation, the first one random", default=10, low=2, high=1000)
        },
    ),
    "qmc": SearcherChoice(
        summary="quasi-random points that cover the space evenly",
        factory="yolosweep.search.searchers.qmc:Qmc",
        learns=False,
    ),
    "random": SearcherChoice(
        summary="independent random points",
        factory="yolosweep.search.searchers.random_search:random_search",
        learns=False,
    ),
    "grid": SearcherChoice(
        summary="every combination, once",
        factory="yolosweep.search.searchers.grid:Grid",
        is_exhaustive=True,
        learns=False,
    ),
}

PRUNERS: dict[str, PrunerChoice] = {
    point.name: PrunerChoice(summary=_summary(point), factory=point.value)
    for point in entry_points(group="yolosweep.pruners")
} | {
    "soft": PrunerChoice(
        summary="stops trials with hardly any chance to be among the best, as forecast from their curves",
        factory="yolosweep.search.pruners.soft:SoftPruner",
        has_grace=True,
        knows_limits=True,
        options={
            "chance": Option(summary="a trial stops below this chance", default=0.02, low=0.0, high=0.5),
            "top": Option(summary="how many are the best", default=3, low=1, high=1000),
            "complete": Option(summary=_COMPLETE.summary, default=3, low=1, high=1000),
            "protected": Option(summary="share of the trials that are never stopped", default=0.15, low=0.0, high=1.0),
        },
    ),
    "asha": PrunerChoice(
        summary="stops trials that are behind at a rung (asynchronous successive halving)",
        factory="yolosweep.search.pruners.asha:AshaPruner",
        has_grace=True,
        has_rungs=True,
    ),
    "hyperband": PrunerChoice(
        summary="as asha, in brackets that begin to prune later and later",
        factory="yolosweep.search.pruners.hyperband:HyperbandPruner",
        has_grace=True,
        has_rungs=True,
    ),
    "median": PrunerChoice(
        summary="Optuna's: stops trials below the median of the complete ones",
        factory="yolosweep.search.pruners.median:median_pruner",
        has_grace=True,
        options={"complete": _COMPLETE},
    ),
    "percentile": PrunerChoice(
        summary="Optuna's: stops trials outside of the best percentile of the complete ones",
        factory="yolosweep.search.pruners.percentile:percentile_pruner",
        has_grace=True,
        options={
            "percentile": Option(summary="percentage of the trials that go on", default=25.0, low=1.0, high=99.0),
            "complete": _COMPLETE,
        },
    ),
    "wilcoxon": PrunerChoice(
        summary="Optuna's: stops trials whose epochs are probably worse than the same epochs of the best one",
        factory="yolosweep.search.pruners.wilcoxon:wilcoxon_pruner",
        has_grace=True,
        options={"threshold": Option(summary="p-value below which a trial stops", default=0.1, low=0.0, high=1.0)},
    ),
    "none": PrunerChoice(
        summary="every trial trains all its epochs",
        factory="yolosweep.search.pruners.none:NoPruner",
        judges=False,
        knows_limits=True,
    ),
}
