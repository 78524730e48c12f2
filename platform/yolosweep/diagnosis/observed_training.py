"""One training as the checks see it: curves of score and losses over epochs, and what was planned."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from yolosweep.records import EpochResult
from yolosweep.records.diagnosis import Change

__all__ = ["Curve", "Training"]

_SCORES = (
    *("metrics/mAP50-95(P)", "metrics/mAP50-95(M)", "metrics/mAP50-95(B)", "metrics/accuracy_top1", "metrics/mIoU"),
    *("metrics/mAP50(P)", "metrics/mAP50(M)", "metrics/mAP50(B)"),
)
"""The metric that stands for a task, where the searched one is a loss or none is named; the first that is there."""
_REACHED = 0.98
"""Share of its peak at which a score has reached its plateau: the last 2 % are creeping or noise."""
_TAIL = 0.3
"""Share of the epochs over which the slope at the end is fitted."""
_AHEAD = 0.2
"""The slope is given as the change over this share of the epochs."""
_INFINITE = 1e15
"""Losses of trainings that burst are larger."""
_WARM_UP = 4
"""Epochs in which learning rates do not follow their schedule yet."""


@dataclass(frozen=True)
class Curve:
    """Finite values over epochs, oldest first."""

    epochs: tuple[int, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def smooth(self) -> tuple[float, ...]:
        """Centred means over up to 9 epochs; the window shrinks towards both ends."""
        half = min(4, len(self) // 10) if len(self) >= 6 else 0
        return tuple(
            statistics.fmean(self.values[index - reach : index + reach + 1])
            for index in range(len(self))
            for reach in (min(half, index, len(self) - 1 - index),)
        )

    @cached_property
    def peak(self) -> float:
        """Largest smoothed value."""
        return max(self.smooth, default=0.0)

    @cached_property
    def end(self) -> float:
        """Mean of the last tenth."""
        return statistics.fmean(self.values[-max(1, len(self) // 10) :]) if self.values else 0.0

    @cached_property
    def lost(self) -> float:
        """Share of the peak before the last tenth that is lost at the end; 0 if the end is higher."""
        before = max(self.smooth[: -max(1, len(self) // 10)], default=0.0)
        return max(0.0, 1 - self.end / before) if before > 0 else 0.0

    @cached_property
    def noise(self) -> float:
        """Scatter from one epoch to the next over the later 60 %: the robust standard deviation of an epoch."""
        late = self.values[int(0.4 * len(self)) :]
        steps = [abs(b - a) for a, b in itertools.pairwise(late)]
        return 1.4826 * statistics.median(steps) / math.sqrt(2) if len(steps) >= 3 else 0.0

    @cached_property
    def trend(self) -> tuple[float, float]:
        """Change over the last fifth of the epochs, by a line through the last 30 %, and its t value."""
        count = max(3, round(_TAIL * len(self)))
        x, y = [float(epoch) for epoch in self.epochs[-count:]], self.values[-count:]
        if len(set(x)) < 2:
            return 0.0, 0.0
        slope, start = statistics.linear_regression(x, y)
        ahead = max(1.0, _AHEAD * len(self))
        if len(y) < 4:  # a line always fits so few
            return slope * ahead, math.copysign(math.inf, slope) if slope else 0.0
        rest = sum((b - start - slope * a) ** 2 for a, b in zip(x, y, strict=True)) / (len(y) - 2)
        spread = sum((a - statistics.fmean(x)) ** 2 for a in x)
        error = math.sqrt(rest / spread)
        return slope * ahead, slope / error if error else math.copysign(math.inf, slope)

    def index_of(self, epoch: int) -> int:
        """Return the index of an epoch, or of the next one that has a value."""
        return next((i for i, known in enumerate(self.epochs) if known >= epoch), len(self) - 1)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is known of one training."""

    rows: tuple[EpochResult, ...]
    metric: str | None = None
    """The metric that ranks it; None: the one that stands for the task."""
    mode: str = "max"
    planned_epochs: int | None = None
    """None where only the curves are known; the learning rate's schedule tells then."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Train arguments, as far as they are known."""
    trial: str | None = None
    stopped: bool = False
    """Whether something else than the training itself ended it: a pruner, or the end of the sweep."""
    notes: tuple[str, ...] = ()
    """What was odd about the source of the rows, one sentence each."""

    @cached_property
    def score_name(self) -> str | None:
        """The metric whose curve is judged; more of it is better. None if no such metric was recorded."""
        names = {name for row in self.rows for name in row.metrics}
        first = (self.metric,) if self.metric and self.mode == "max" else ()
        return next((name for name in (*first, *_SCORES) if name in names), None)

    @cached_property
    def score(self) -> Curve:
        """The score over epochs; empty without one."""
        return self.curve(self.score_name) if self.score_name else Curve((), ())

    @cached_property
    def loose_score(self) -> Curve:
        """The score at one loose overlap (mAP50), by which people judge a level; else the score itself."""
        loose = self.curve((self.score_name or "").replace("mAP50-95", "mAP50"))
        return loose if len(loose) else self.score

    @cached_property
    def train_loss(self) -> Curve:
        """The sum of the training losses; empty without any."""
        return self._loss("train/")

    @cached_property
    def val_loss(self) -> Curve:
        """The sum of the validation losses; empty without any, also where Ultralytics wrote zeros in their place."""
        return self._loss("val/")

    @cached_property
    def plateau_epoch(self) -> int:
        """First epoch at which the smoothed score is near its peak, scatter left out; 0 without a score."""
        score, enough = self.score, _REACHED * self.peak - self.score.noise
        return next((e for e, value in zip(score.epochs, score.smooth, strict=True) if value >= enough), 0)

    @property
    def peak(self) -> float:
        """Largest smoothed score."""
        return self.score.peak

    @cached_property
    def nan_epochs(self) -> tuple[int, ...]:
        """Epochs whose training loss is NaN or infinite."""
        return tuple(
            row.epoch
            for row in self.rows
            if any(_usable(value) is None for name, value in row.metrics.items() if name.startswith("train/"))
        )

    @cached_property
    def schedule_left(self) -> float | None:
        """Share of the planned epochs that was not trained; None if neither a plan nor a schedule is known."""
        last = self.rows[-1].epoch if self.rows else 0
        if self.planned_epochs:
            return max(0.0, 1 - last / self.planned_epochs)
        return _left_by_learning_rate(self.curve("lr/pg1"), last) or _left_by_learning_rate(self.curve("lr/pg0"), last)

    def curve(self, name: str) -> Curve:
        """Return the finite values of one recorded metric."""
        found = [(row.epoch, value) for row in self.rows if (value := _usable(row.metrics.get(name))) is not None]
        return Curve(tuple(epoch for epoch, _ in found), tuple(value for _, value in found))

    def _loss(self, prefix: str) -> Curve:
        found: list[tuple[int, float]] = []
        for row in self.rows:
            values = [_usable(value) for name, value in row.metrics.items() if name.startswith(prefix)]
            known = [value for value in values if value is not None]
            if known and len(known) == len(values):
                found.append((row.epoch, sum(known)))
        if not any(value for _, value in found):
            return Curve((), ())
        return Curve(tuple(epoch for epoch, _ in found), tuple(value for _, value in found))

    def scaled(self, name: str, factor: float, how: str, *, most: float = math.inf) -> Change:
        """Return the change of a train argument by a factor; without a value where the present one is unknown."""
        now = self.settings.get(name)
        if isinstance(now, bool) or not isinstance(now, (int, float)) or not now or not abs(now) < 1e9:
            return Change(key=f"train.{name}", how=how)
        new = min(most, now * factor)
        return Change(key=f"train.{name}", value=round(new) if isinstance(now, int) else float(f"{new:.3g}"), how=how)


def _usable(value: float | None) -> float | None:
    """Return a value that sums and squares can hold; larger ones are as good as infinite."""
    return value if value is not None and abs(value) < _INFINITE else None


def _left_by_learning_rate(rate: Curve, last: int) -> float | None:
    """Return the share that is left of a learning rate's linear schedule; None if it does not fall."""
    known: Sequence[float] = rate.values[_WARM_UP:]
    if len(known) < 3:
        return None
    if known[-1] <= 0.05 * max(known):
        return 0.0
    back = max(2, len(known) // 5)
    step = (known[-1 - back] - known[-1]) / back if len(known) > back else 0.0
    if step <= 1e-3 * known[-1]:
        return None
    left = known[-1] / step
    return left / (last + left)
