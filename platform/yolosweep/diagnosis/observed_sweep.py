"""A sweep as the checks see it: its trials, the space they were drawn from, and the data."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any

from yolosweep.diagnosis.finals_comparison import CONFIDENCE
from yolosweep.diagnosis.observed_training import Training
from yolosweep.records import PreparedDataset
from yolosweep.records.importance import Importance

__all__ = ["Axis", "Sweep", "Trial"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A searched range of numbers."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False
    step: float | None = None
    when: Mapping[str, Any] | None = None
    """The condition under which it is searched."""

    def position(self, value: float) -> float:
        """Return where a value is: 0 at the low end, 1 at the high end."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, position: float) -> float:
        """Return the value at a position; positions outside of 0 to 1 are outside of the range."""
        if self.is_log:
            return self.low * math.exp(position * math.log(self.high / self.low))
        return self.low + (self.high - self.low) * position

    def range(self, start: float, end: float) -> dict[str, Any]:
        """Return the range between two positions as the experiment file has it.

        Values do not change their sign, and a share (a range up to 1) stays one.
        """
        low, high = self.value(start), self.value(end)
        low = max(low, 0.0) if self.low >= 0 else low
        high = min(high, 1.0) if self.high <= 1 else high
        rest: dict[str, Any] = {"distribution": "log_uniform_values"} if self.is_log else {}
        if self.step is not None:
            steps = [round((value - self.low) / self.step) for value in (low, high)]
            low, high = (self.low + step * self.step for step in (steps[0], max(steps[1], steps[0] + 1)))
            rest = {"distribution": "q_log_uniform_values" if self.is_log else "q_uniform", "q": self.step}
        rest |= {"when": dict(self.when)} if self.when else {}
        if self.is_whole:
            return {"min": round(low), "max": max(round(high), round(low) + 1), **rest}
        return {"min": _rounded(low), "max": _rounded(high), **rest}


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial with its curves."""

    training: Training
    number: int
    ending: str
    score: float | None
    parameters: Mapping[str, Any]
    """The searched parameters, as really used."""
    is_comparable: bool
    """Whether it trained all its epochs, or stopped by patience."""

    @property
    def name(self) -> str:
        """Name of the trial."""
        return self.training.trial or ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is known of a sweep."""

    trials: tuple[Trial, ...]
    axes: Mapping[str, Axis]
    """Searched ranges by parameter; choices are not among them."""
    searched: tuple[str, ...]
    """All parameters with more than one value."""
    mode: str
    metric: str
    model: str
    settings: Mapping[str, Any]
    """Train arguments that are the same in all trials."""
    dataset: PreparedDataset
    importance: Importance
    resolution: float | None
    """Smallest difference on val that counts, as the verdict has it; None where the noise of the metric is unknown."""
    per_class: Mapping[str, float] = field(default_factory=dict)
    """The winner's score per class on val."""
    is_over: bool = True

    @cached_property
    def comparable(self) -> tuple[Trial, ...]:
        """Trials whose scores compare, best first."""
        sign = -1 if self.mode == "max" else 1
        scored = [trial for trial in self.trials if trial.is_comparable and trial.score is not None]
        return tuple(sorted(scored, key=lambda trial: (sign * (trial.score or 0.0), trial.number)))

    @property
    def best(self) -> Trial | None:
        """The best comparable trial."""
        return self.comparable[0] if self.comparable else None

    @property
    def baseline(self) -> Trial | None:
        """Trial 0, if its score compares."""
        return next((trial for trial in self.comparable if trial.number == 0), None)

    @property
    def val_images(self) -> int:
        """Images that scores are measured on."""
        return self.dataset.images.get("val", 0)

    @property
    def one_image(self) -> float:
        """What the resolution is at the least, however alike the trials: one image of val, as the verdict counts it."""
        if not self.metric.startswith("metrics/") or not self.val_images:
            return 0.0
        chances = max(sum(trial.score is not None for trial in self.trials) - 1, 1)
        return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * chances)) / self.val_images

    @cached_property
    def tied(self) -> tuple[Trial, ...]:
        """Comparable trials that val cannot tell from the best, the best among them; empty where that is unknown."""
        best, resolution = self.best, self.resolution
        if best is None or best.score is None or resolution is None:
            return ()
        return tuple(t for t in self.comparable if abs((t.score or 0.0) - best.score) <= resolution)

    def positions(self, name: str, trials: Sequence[Trial]) -> list[float]:
        """Return where trials are on an axis, in their order; trials without a number there are left out."""
        axis, found = self.axes[name], []
        for trial in trials:
            value = trial.parameters.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and (value > 0 or not axis.is_log):
                found.append(axis.position(float(value)))
        return found

    def association(self, name: str) -> float:
        """Return the rank correlation of a parameter with how good a trial is, as a z value: above 2 is no chance."""
        return _z_value(self.positions(name, self.comparable), len(self.comparable))

    def closeness(self, name: str) -> float:
        """Return the same for being close to the best trial: an optimum inside of a range has no direction."""
        first, *others = self.positions(name, self.comparable) or [0.0]
        return _z_value([-abs(position - first) for position in others], len(self.comparable) - 1)


def _z_value(values: Sequence[float], count: int) -> float:
    """Return the rank correlation of values with their order, best first, times the root of their number."""
    if len(values) != count or count < 5 or len(set(values)) < 2:
        return 0.0
    ranks = [float(-index) for index in range(count)]
    return statistics.correlation(_ranks(values), ranks) * math.sqrt(count - 1)


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value; equal values share one."""
    first: dict[float, int] = {}
    for index, value in enumerate(sorted(values)):
        first.setdefault(value, index)
    counts = Counter(values)
    return [first[value] + (counts[value] - 1) / 2 for value in values]
