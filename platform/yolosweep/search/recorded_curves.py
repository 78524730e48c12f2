"""Curves of trainings that were made, and a surrogate of them: what any configuration would have scored.

A table has a line per training: its parameters, ``seed``, ``cpu_s`` or ``seconds`` of all epochs, and its score after
each epoch in ``epoch 1``, ``epoch 2``…; other columns, such as ``set``, choose a part of it. A run folder gives the
trials that reached their end.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from yolosweep.diagnosis.curve_forecast import SHIFT
from yolosweep.errors import UsageError
from yolosweep.experiment import Parameter
from yolosweep.ledger.history import History
from yolosweep.search.searchers.gaussian_process import GaussianProcess, broad_prior, fitted_scales
from yolosweep.search.searchers.space_encoding import Axes

__all__ = ["RecordedCurve", "Surrogate", "curves_of", "read_table"]

Array = NDArray[np.float64]

LEAST = 8
"""Curves below which a surrogate would be a guess."""
_SHAPES = 3
"""Ways in which curves differ that are modelled; the rest is noise."""
_ALIKE = 5
"""Recorded trainings that the luck of a simulated one is drawn from."""
_SECONDS = ("seconds", "cpu_s")
_OTHER = ("number", "seed")


@dataclass(frozen=True, kw_only=True)
class RecordedCurve:
    """One training that reached its end."""

    parameters: dict[str, Any]
    seed: int
    scores: tuple[float, ...]
    epoch_s: float


def read_table(file: Path, chosen: str | None = None) -> list[RecordedCurve]:
    """Return the curves of a table.

    Args:
        file: a CSV file.
        chosen: value of its column ``set``; needed where it has several.

    Raises:
        UsageError: it cannot be read, has no curves, or several sets of which none was chosen.
    """
    try:
        with file.open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    sets = dict.fromkeys(row["set"] for row in rows if row.get("set"))
    if chosen is None and len(sets) > 1:
        raise UsageError(f"{file} has curves of {', '.join(sets)}; choose with --set, e.g. --set {next(iter(sets))}")
    try:
        found = [_curve(row) for row in rows if chosen is None or row.get("set") == chosen]
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{file}: a line is no training ({error}); columns: parameters, seconds, epoch 1, …"
        ) from error
    if not found:
        raise UsageError(f"{file} has no curves" + (f" of {chosen}; there are {', '.join(sets)}" if chosen else ""))
    return found


def _curve(row: Mapping[str, str]) -> RecordedCurve:
    scores = [float(row[name]) for name in row if name.startswith("epoch ") and row[name]]
    if not scores or not all(map(math.isfinite, scores)):
        raise ValueError("no finite scores")
    took = [row[name] for name in _SECONDS if name in row]
    if not took:
        raise ValueError("no seconds")
    seconds = float(took[0])
    used = (*_SECONDS, *_OTHER, "set")
    values = {name: _value(text) for name, text in row.items() if name not in used and not name.startswith("epoch ")}
    return RecordedCurve(
        parameters=values, seed=int(row.get("seed") or 0), scores=tuple(scores), epoch_s=seconds / len(scores)
    )


def _value(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


def curves_of(history: History) -> list[RecordedCurve]:
    """Return the curves of the trials of a sweep that reached their end."""
    found = []
    for trial in history.trials.values():
        scores = tuple(row.score for row in trial.rows if row.score is not None)
        if trial.record is None or not trial.record.ending.is_natural or len(scores) < len(trial.rows) or not scores:
            continue
        seconds = trial.seconds / trial.timed if trial.timed else 1.0
        seed = trial.request.seed or 0
        found.append(RecordedCurve(parameters=dict(trial.record.used), seed=seed, scores=scores, epoch_s=seconds))
    return found


class Surrogate:
    """What configurations score: a Gaussian process for each of the ways in which the recorded curves differ.

    What two seeds of one configuration differ by, or else what it cannot explain, is noise. A simulated training has
    that of a recorded one, drawn among those whose scores are closest to its own: configurations that hardly learn
    scatter by factors, good ones by a few percent.

    Args:
        curves: recorded trainings; those that are shorter than the longest end with their last score.
        mode: ``max`` or ``min``.
    """

    def __init__(self, curves: Sequence[RecordedCurve], mode: str = "max") -> None:
        self.epochs, self._mode = max(len(curve.scores) for curve in curves), mode
        names = sorted(set.intersection(*(set(curve.parameters) for curve in curves)))
        self.axes = {name: _axis([curve.parameters[name] for curve in curves]) for name in names}
        self._table = Axes({name: axis for name, axis in self.axes.items() if axis is not None})
        self._x = self._columns([curve.parameters for curve in curves])
        scores = np.array([[*one.scores, *[one.scores[-1]] * (self.epochs - len(one.scores))] for one in curves])
        self._are_shares = mode == "max" and bool(scores.max() <= 1)
        self._logs = self._log(scores)
        self._center = self._logs.mean(0)
        _, _, shapes = np.linalg.svd(self._logs - self._center, full_matrices=False)
        self._shapes = shapes[:_SHAPES]
        weights = (self._logs - self._center) @ self._shapes.T
        seconds = np.log([max(one.epoch_s, 1e-6) for one in curves])
        self._models = [_Model.fitted(self._x, column, self._table) for column in [*weights.T, seconds]]
        self._seeds = [curve.seed for curve in curves]

    def _log(self, scores: Array) -> Array:
        """Return the logarithm of scores, of shares that of their odds: none is expected beyond 1."""
        above = np.maximum(scores, 0.0) + SHIFT
        return np.asarray(logit(above / (1 + 2 * SHIFT)) if self._are_shares else np.log(above))

    def _exp(self, logs: Array) -> Array:
        """Return the scores that have these logarithms."""
        if self._are_shares:
            return np.asarray(np.minimum((1 + 2 * SHIFT) * expit(logs) - SHIFT, 1.0))
        return np.asarray(np.exp(logs) - SHIFT)

    def _columns(self, configs: Sequence[Mapping[str, Any]]) -> Array:
        points = [self._table.point(config) for config in configs]
        return self._table.columns(np.array([point for point in points if point is not None]))

    def expected(self, configs: Sequence[Mapping[str, Any]]) -> Array:
        """Return the curves of configurations without noise, a row each."""
        x = self._columns(configs)
        weights = np.column_stack([model.mean(x) for model in self._models[:-1]])
        return self._exp(self._center + weights @ self._shapes)

    def true(self, configs: Sequence[Mapping[str, Any]]) -> Array:
        """Return the best score of configurations without noise."""
        return self._best(self.expected(configs))

    def epoch_s(self, config: Mapping[str, Any]) -> float:
        """Return the seconds of an epoch."""
        return float(np.exp(self._models[-1].mean(self._columns([config]))[0]))

    def training(self, config: Mapping[str, Any], seed: int) -> list[float]:
        """Return the scores of one training; configuration and seed decide its luck."""
        x = self._columns([config])
        rng = np.random.default_rng([seed, *(int(abs(value) * 1e6) for value in x[0])])
        logs = self._log(self.expected([config])[0])
        best, better = (logs.max(), 1.0) if self._mode == "max" else (logs.min(), -1.0)
        luck = self._luck[rng.choice(np.argsort(np.abs(self._levels - best))[:_ALIKE])] * rng.choice([-1.0, 1.0])
        most = np.abs(luck[-1])  # a dip of one seed is no peak of the other
        scores = self._exp(logs + better * np.minimum(better * luck[:-1], most))
        return [float(score) for score in np.maximum(scores, 0.0)]

    @cached_property
    def _lucky(self) -> tuple[Array, Array, float]:
        """Pairs of log curves that differ by luck, and the share of the difference that each of the two has.

        Two seeds where there are enough of them, else curves and what is explained of them.
        """
        by_point: dict[bytes, list[int]] = {}
        for place, row in enumerate(self._x):
            by_point.setdefault(row.tobytes(), []).append(place)
        pairs = np.array([places[:2] for places in by_point.values() if len(places) > 1])
        if len(pairs) >= LEAST:
            return self._logs[pairs[:, 0]], self._logs[pairs[:, 1]], math.sqrt(0.5)
        weights = np.column_stack([model.mean(self._x) for model in self._models[:-1]])
        return self._logs, self._center + weights @ self._shapes, 1.0

    @cached_property
    def _luck(self) -> Array:
        """A row for each pair: the deviation of each epoch, then that of the best score."""
        one, other, share = self._lucky
        return np.asarray(share * np.column_stack([one - other, self._best(one) - self._best(other)]))

    @cached_property
    def _levels(self) -> Array:
        """The best score of each pair."""
        one, other, _ = self._lucky
        return np.asarray((self._best(one) + self._best(other)) / 2)

    def _best(self, curves: Array) -> Array:
        return np.asarray(curves.max(1) if self._mode == "max" else curves.min(1))


@dataclass(frozen=True)
class _Model:
    process: GaussianProcess
    center: float
    scale: float

    @classmethod
    def fitted(cls, x: Array, values: Array, axes: Axes) -> _Model:
        center, scale = float(values.mean()), max(float(values.std()), 1e-9)
        z, none = (values - center) / scale, np.zeros(len(values))
        scales = fitted_scales(x, z, none, axes.groups, broad_prior(axes.count))
        return cls(GaussianProcess(x, z, none, axes.groups, scales), center, scale)

    def mean(self, x: Array) -> Array:
        return np.asarray(self.center + self.scale * self.process.predict(x)[0])


def _axis(values: Collection[Any]) -> Parameter | None:
    """Return the range of the recorded values of a parameter; None where there is only one."""
    different = list(dict.fromkeys(values))
    if len(different) < 2:
        return None
    numbers = [value for value in different if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(different):
        return Parameter(values=different)
    low, high = min(numbers), max(numbers)
    spread = low > 0 and high / low >= 30
    return Parameter(min=float(low), max=float(high), distribution="log_uniform_values" if spread else "uniform")
