"""What a search is for: several objectives, limits on them, and the trials that are best by a stated rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field, model_validator

from yolosweep.records.footprint import FOOTPRINTS
from yolosweep.records.record import Record

__all__ = ["Objective", "Select", "Standing", "Values", "default_mode", "rule_of", "standing"]

Values: TypeAlias = tuple[float | None, ...]
"""The value of each objective, as measured; None where it is unknown."""

Select: TypeAlias = Literal["first", "knee"]


class Objective(Record):
    """A value that a search is for. The first one ranks trials, picks each ``best.pt`` and drives patience."""

    metric: Annotated[str, Field(min_length=1)]
    """A metric of the task, or of the model: ``latency_ms``, ``params_m``, ``gflops``, ``size_mb``."""
    mode: Literal["max", "min"] = "max"
    """Whether more or less is better. Default: ``min`` for losses and the values of the model, else ``max``."""
    limit: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """No trial beyond this value is selected, and within it no value is better than another."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "mode" in data:
            return data
        return {**data, "mode": default_mode(str(data.get("metric")))}

    def loss(self, value: float) -> float:
        """Return a value so that less is better."""
        return -value if self.mode == "max" else value

    def is_met(self, value: float | None) -> bool:
        """Return whether a value is within the limit; an unknown one is not."""
        return self.limit is None or (value is not None and self.loss(value) <= self.loss(self.limit))

    @property
    def text(self) -> str:
        """The limit as a comparison, or the direction."""
        name = self.metric.removeprefix("metrics/")
        if self.limit is None:
            return f"{self.mode} {name}"
        return f"{name} {'>=' if self.mode == 'max' else '<='} {self.limit:g}"


def default_mode(metric: str) -> Literal["max", "min"]:
    """Return whether more or less of a metric is better, by its name."""
    return "min" if metric in FOOTPRINTS or metric.endswith("loss") else "max"


def rule_of(objectives: Sequence[Objective], select: Select) -> str:
    """Return the rule that selects the winner, as a phrase."""
    limits = " and ".join(one.text for one in objectives if one.limit is not None)
    among = f" among the trials with {limits}" if limits else ""
    if select == "knee":
        return f"the shortest distance to the best value of each objective, on the scale of the Pareto front{among}"
    first = objectives[0]
    return f"the {'highest' if first.mode == 'max' else 'lowest'} {first.metric.removeprefix('metrics/')}{among}"


class Standing(NamedTuple):
    """The trials that have a score, by the stated rule."""

    ranking: tuple[str, ...]
    """Best first, of equal ones those on the front; beyond a limit, or unknown where there is one, come last."""
    front: tuple[str, ...]
    """Within the limits, and no other such trial is as good in every objective and better in one; best score first.

    Empty with one objective.
    """
    outside: frozenset[str]
    """Beyond a limit, or unknown there."""


def standing(objectives: Sequence[Objective], select: Select, trials: Mapping[str, Values]) -> Standing:
    """Return how trials stand; what is equal keeps its order.

    Args:
        objectives: the first one is the score, which every trial has.
        select: ``first``: by score; ``knee``: by the distance to the best value of each objective.
        trials: their values.
    """
    outside = frozenset(
        name
        for name, values in trials.items()
        if not all(one.is_met(value) for one, value in zip(objectives, values, strict=True))
    )
    losses = {
        name: tuple(one.loss(value) for one, value in zip(objectives, values, strict=True) if value is not None)
        for name, values in trials.items()
    }
    known = {name: point for name, point in losses.items() if len(point) == len(objectives) and name not in outside}
    front = _front(known) if len(objectives) > 1 else []
    apart = _distances(known, front) if select == "knee" else {}
    places = {name: place for place, name in enumerate(front)}

    def rank(name: str) -> tuple[bool, float, float, float]:
        return name in outside, apart.get(name, math.inf), losses[name][0], places.get(name, math.inf)

    return Standing(tuple(sorted(trials, key=rank)), tuple(front), outside)


def _front(points: Mapping[str, tuple[float, ...]]) -> list[str]:
    """Return the points that no other one dominates. In this order, a later one cannot dominate an earlier one."""
    kept: list[str] = []
    for name in sorted(points, key=lambda name: points[name]):
        point = points[name]
        better = (points[one] for one in kept if points[one] != point)
        if not any(all(a <= b for a, b in zip(other, point, strict=True)) for other in better):
            kept.append(name)
    return kept


def _distances(points: Mapping[str, tuple[float, ...]], front: Sequence[str]) -> dict[str, float]:
    """Return the distance of each point to the best value of each objective, in lengths of the front."""
    axes = list(zip(*(points[name] for name in front), strict=True))
    scales = [(min(axis), max(axis) - min(axis) or 1.0) for axis in axes]
    return {
        name: math.hypot(*((value - low) / length for value, (low, length) in zip(point, scales, strict=True)))
        for name, point in points.items()
    }
