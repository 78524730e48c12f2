"""Rules on several objectives: what can be one, and which searchers and pruners take them."""

from __future__ import annotations

from collections.abc import Iterator

from yolosweep.backends.arguments import nearest_name
from yolosweep.errors import Fault
from yolosweep.experiment.schema import Experiment
from yolosweep.experiment.search_choices import PRUNERS, SEARCHERS
from yolosweep.records.footprint import FOOTPRINTS
from yolosweep.records.objectives import default_mode

__all__ = ["objective_faults"]


def objective_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield objectives that cannot be one, and what does not go together with them."""
    search = exp.search
    if not search.objectives:
        if search.select is not None:
            yield Fault(key="search.select", message="selects among search.objectives, which are not set; remove it")
        return
    yield from _first(exp)
    yield from _names(exp)
    yield from _takers(exp)
    if search.select != "knee":
        return
    if not search.trades_off:
        message = "knee needs a second objective without a limit; add one, or remove search.select"
        yield Fault(key="search.select", message=message)
    if search.finals is not None and search.finals.top:
        message = "rank by the mean of one score, which does not find a knee; set finals: none, or select: first"
        yield Fault(key="search.finals", message=message)


def _first(exp: Experiment) -> Iterator[Fault]:
    search, first = exp.search, exp.search.objectives[0]
    key = "search.objectives[0]"
    if first.metric in FOOTPRINTS:
        message = f"{first.metric} does not change while a model trains, so it ranks no epochs; put a metric first"
        yield Fault(key=f"{key}.metric", message=message)
    if first.limit is not None:
        message = "the first objective ranks the trials and has no limit; remove it, or put another objective first"
        yield Fault(key=f"{key}.limit", message=message)
    for name, value, ours in (("metric", search.metric, first.metric), ("mode", search.mode, first.mode)):
        if value != ours:
            message = f"{value} is not the first objective's {ours}, which ranks the trials; remove search.{name}"
            yield Fault(key=f"search.{name}", message=message)


def _names(exp: Experiment) -> Iterator[Fault]:
    metrics = exp.backend.tasks[exp.task].metrics if exp.task in exp.backend.tasks else ()
    names = [one.metric for one in exp.search.objectives]
    for place, one in enumerate(exp.search.objectives):
        key = f"search.objectives[{place}]"
        if one.metric in names[:place]:
            yield Fault(key=f"{key}.metric", message=f"{one.metric} is named twice; remove one")
        elif place and one.metric not in (*metrics, *FOOTPRINTS) and not one.metric.startswith("val/"):
            guess = nearest_name(one.metric, [*metrics, *FOOTPRINTS]) or "latency_ms"
            message = f"{one.metric!r} is neither reported for task={exp.task} nor a value of the model; did you mean "
            yield Fault(key=f"{key}.metric", message=f"{message}{guess}?")
        elif place and one.mode != (best := default_mode(one.metric)):
            less = "less" if best == "min" else "more"
            yield Fault(key=f"{key}.mode", message=f"{less} of {one.metric} is better; set mode: {best}, or remove it")


def _takers(exp: Experiment) -> Iterator[Fault]:
    """Yield a searcher or pruner that judges one score alone."""
    search, few = exp.search, len(exp.search.objectives) < 2
    searcher = SEARCHERS[search.searcher]
    if not few and searcher.learns and not searcher.has_objectives:
        able = [name for name, one in SEARCHERS.items() if one.has_objectives or not one.learns]
        yield _unable("searcher", search.searcher, "learns from one score", able)
    if few or "pruner" not in search.model_fields_set:
        return
    if search.trades_off and PRUNERS[search.pruner].judges:
        why = "judges the score alone and would stop trials that are on the front by another objective"
        yield _unable("pruner", search.pruner, why, [name for name, one in PRUNERS.items() if not one.judges])
    elif not search.trades_off and not PRUNERS[search.pruner].knows_limits:
        why = "compares with trials beyond a limit, which cannot win"
        yield _unable("pruner", search.pruner, why, [name for name, one in PRUNERS.items() if one.knows_limits])


def _unable(what: str, name: str, why: str, able: list[str]) -> Fault:
    return Fault(key=f"search.{what}", message=f"{name} {why}; with these objectives choose {', '.join(able)}")
