"""A search space as columns of numbers: what a model of the scores is fitted on.

Ranges and choices of numbers are one column from 0 to 1, so that a batch of 16 is between 8 and 32; other choices have
a column each. A point is a row with one number per parameter: its place, or the index of its choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolosweep.experiment import Parameter
from yolosweep.experiment.search_parameter import allowed_of, is_number

__all__ = ["Axes", "Axis"]

Array = NDArray[np.float64]

_OUTSIDE = 0.25
"""How far outside of its range a value counts at most."""

_FINE = 1000
"""A range of more steps than this is treated as continuous until a point is written."""


@dataclass(frozen=True)
class Axis:
    """One searched parameter that has more than one value."""

    parameter: Parameter

    @cached_property
    def is_ordered(self) -> bool:
        """Whether values have an order: all but choices of words, lists and switches."""
        return self.parameter.kind != "categorical" or all(is_number(v) for v in self.parameter.values or ())

    @cached_property
    def _bounds(self) -> tuple[float, float, bool]:
        """Lowest and highest value, and whether the scale between them is logarithmic."""
        values = [float(value) for value in self.parameter.corners()]
        low, high = min(values), max(values)
        spread = self.parameter.kind == "categorical" and low > 0 and high / low >= 4
        return low, high, self.parameter.is_log or spread

    @cached_property
    def values(self) -> tuple[Any, ...] | None:
        """All values in the order of their places; None for a continuous range."""
        size = self.parameter.size()
        if size is None or size > _FINE:
            return None
        values = self.parameter.grid() or []
        return tuple(sorted(values)) if self.is_ordered else tuple(values)

    @cached_property
    def places(self) -> Array | None:
        """Place of each of the values."""
        return None if self.values is None else np.array([self.place(value) for value in self.values])

    @property
    def decades(self) -> float | None:
        """Decades from the lowest to the highest value; None where values have no order or are not positive."""
        if not self.is_ordered or self._bounds[0] <= 0:
            return None
        return math.log10(self._bounds[1] / self._bounds[0])

    def place(self, value: Any) -> float:
        """Return the place of a value; outside of 0 to 1 for a number outside of the space, NaN for an unknown one."""
        if not self.is_ordered:
            same = (i for i, v in enumerate(self.parameter.values or ()) if type(v) is type(value) and v == value)
            return float(next(same, math.nan))
        low, high, is_log = self._bounds
        if not is_number(value) or (is_log and value <= 0):
            return math.nan
        if is_log:
            return math.log(value / low) / math.log(high / low)
        return (float(value) - low) / (high - low)

    def value(self, place: float) -> Any:
        """Return the value at a place, one that the parameter can take."""
        if self.values is not None and self.places is not None:
            return self.values[int(np.argmin(np.abs(self.places - place)))]
        low, high, is_log = self._bounds
        raw = low * (high / low) ** place if is_log else low + place * (high - low)
        return self.parameter.nearest(float(min(max(raw, low), high)))

    def snapped(self, places: Array) -> Array:
        """Return the nearest places that the parameter can take."""
        if self.places is None:
            return np.clip(places, 0.0, 1.0)
        middles = (self.places[1:] + self.places[:-1]) / 2
        return np.asarray(self.places[np.searchsorted(middles, places)])

    def anywhere(self, uniform: Array) -> Array:
        """Return places for numbers drawn uniformly from 0 to 1; each value is equally likely."""
        if self.places is None:
            return uniform
        return np.asarray(self.places[np.minimum((uniform * len(self.places)).astype(int), len(self.places) - 1)])

    def near(self, place: float, width: float, rng: np.random.Generator, count: int) -> Array:
        """Return places around one: a normal step reflected at the ends, a neighbour, or another choice."""
        if self.places is not None and (len(self.places) <= 6 or not self.is_ordered):
            here = int(np.argmin(np.abs(self.places - place)))
            moves = rng.random(count) < 0.25 + width
            if self.is_ordered:
                other = np.clip(here + rng.choice([-1, 1], count), 0, len(self.places) - 1)
            else:
                other = rng.integers(0, len(self.places), count)
            return np.asarray(self.places[np.where(moves, other, here)])
        steps = np.abs(place + rng.normal(0, width, count))
        return self.snapped(np.where(steps > 1, 2 - steps, steps))


class Axes:
    """All parameters of a space that have more than one value, ordered by name."""

    def __init__(self, space: Mapping[str, Parameter]) -> None:
        self._constants = {name: p.corners()[0] for name, p in space.items() if p.size() == 1}
        self._axes = {name: Axis(p) for name, p in sorted(space.items()) if name not in self._constants}
        self._names, self._space = list(space), dict(space)
        self.names = tuple(self._axes)
        """The parameters, in the order of a point."""
        self._has_conditions = any(parameter.when for parameter in space.values())
        self.count = len(self._axes)
        widths = [1 if axis.is_ordered else len(axis.values or ()) for axis in self._axes.values()]
        self.groups = np.repeat(np.arange(self.count), widths)
        """Parameter of each column."""

    def decades(self) -> dict[str, float]:
        """Return how many decades each parameter spans whose values have an order and are positive."""
        return {name: axis.decades for name, axis in self._axes.items() if axis.decades}

    def settled(self, points: Array) -> Array:
        """Return points in which parameters whose condition does not hold have their first value."""
        points = points.copy()
        where = {name: place for place, name in enumerate(self._axes)}
        known: dict[str, NDArray[np.bool_]] = {}

        def holds(name: str) -> NDArray[np.bool_]:
            if name not in known:
                known[name] = np.ones(len(points), dtype=bool)
                for other, condition in (self._space[name].when or {}).items():
                    places = [Axis(self._space[other]).place(value) for value in allowed_of(condition)]
                    known[name] &= holds(other)
                    if other in where:
                        known[name] &= np.isclose(points[:, where[other], None], places).any(1)
                    else:
                        known[name] &= self._constants[other] in allowed_of(condition)
            return known[name]

        for name, place in where.items():
            if self._space[name].when:
                points[~holds(name), place] = self._axes[name].place(self._space[name].corners()[0])
        return points

    def point(self, parameters: Mapping[str, Any]) -> Array | None:
        """Return the point of parameters; None where one has no place.

        A number outside of its range, such as a lowered batch, is near the end of it: far away, it would say nothing
        about the space.
        """
        row = np.array([axis.place(parameters.get(name)) for name, axis in self._axes.items()])
        ordered = np.array([axis.is_ordered for axis in self._axes.values()], dtype=bool)
        return None if np.isnan(row).any() else np.where(ordered, np.clip(row, -_OUTSIDE, 1.0 + _OUTSIDE), row)

    def parameters(self, point: Array) -> dict[str, Any]:
        """Return the parameters of a point."""
        found = {name: axis.value(place) for (name, axis), place in zip(self._axes.items(), point, strict=True)}
        return {name: self._constants[name] if name in self._constants else found[name] for name in self._names}

    def columns(self, points: Array) -> Array:
        """Return points as columns: distances between choices without order are all the same."""
        parts = []
        for place, axis in enumerate(self._axes.values()):
            column = points[:, place]
            if axis.is_ordered:
                parts.append(column[:, None])
            else:
                parts.append((column[:, None] == np.arange(len(axis.values or ()))[None, :]) / math.sqrt(2))
        return np.hstack(parts) if parts else np.zeros((len(points), 0))

    def anywhere(self, uniform: Array) -> Array:
        """Return points all over the space for rows of numbers drawn uniformly from 0 to 1."""
        parts = [axis.anywhere(uniform[:, place]) for place, axis in enumerate(self._axes.values())]
        return self._of(np.column_stack(parts)) if parts else np.zeros((len(uniform), 0))

    def _of(self, points: Array) -> Array:
        return self.settled(points) if self._has_conditions else points

    def near(self, point: Array, width: float, keep: float, rng: np.random.Generator, count: int) -> Array:
        """Return points around one; each parameter keeps its value with the chance ``keep``."""
        if not self.count:
            return np.zeros((count, 0))
        parts = [axis.near(point[place], width, rng, count) for place, axis in enumerate(self._axes.values())]
        moved = np.column_stack(parts)
        home = np.array([axis.snapped(point[i : i + 1])[0] for i, axis in enumerate(self._axes.values())])
        return self._of(np.where(rng.random(moved.shape) < keep, home, moved))
