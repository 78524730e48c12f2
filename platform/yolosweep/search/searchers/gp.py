"""A Gaussian process on the scores that trials would reach at their end.

A trial counts with its forecast and the uncertainty of it, so that a curve that was stopped early, or still runs, is
neither taken for a final score nor thrown away. The first trials are drawn around the defaults and all over the space;
then the point with the highest expected improvement is next, weighted by a prior around the defaults that fades as
trials accumulate (Hvarfner et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from yolosweep.experiment import Parameter
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.records.objectives import Objective, Values
from yolosweep.search.forecasts import Forecasts
from yolosweep.search.searchers.epoch_cost import cost_slopes
from yolosweep.search.searchers.gaussian_process import GaussianProcess, Prior, broad_prior, fitted_scales
from yolosweep.search.searchers.multi_objective import Limit, Targets, Traded, fitted_limit, folded
from yolosweep.search.searchers.qmc import covering_point
from yolosweep.search.searchers.score_standardization import Units, standardized
from yolosweep.search.searchers.space_encoding import Axes

__all__ = ["GpSearcher"]

Array = NDArray[np.float64]

_NEAR_SHARE = 0.15
"""Share of the first trials that are drawn around the defaults."""
_NEAR_WIDTH = 0.22
_PRIOR_WIDTH = 0.35
"""Standard deviation of the prior around the defaults, in each column."""
_PRIOR_TRIALS = 1.0
"""The logarithm of the prior counts by this over the number of observations."""
_LEARNED = 200
"""Observations that the process is fitted to; of more, the best, the newest and a sample of the others."""
_FITTED = 150
"""Observations that its hyperparameters are fitted to."""
_PENDING = 100
"""Running trials without a forecast that are taken into account, the newest ones."""
_HUGE = 1e12
"""A score beyond this is none."""
_ROUNDS = 3
"""How often the neighbourhood of the best candidates is searched, each time half as wide."""
_DOUBT = 4.0
"""Inflates the posterior variance by this times parameters per observation: fitted from few, it is overconfident."""
_LENGTH = 0.5
"""Expected length scale, times the root of the number of parameters (Hvarfner et al. 2024)."""
_LENGTH_SPREAD = 0.7
"""Standard deviation of its logarithm; that of BoTorch, 1.7, lets few noisy observations say too much."""
_NOISE = -2.5
"""Expected logarithm of the variance of the noise: -2.5 and -2.8 in trainings recorded on two data sets."""


@dataclass
class _Trial:
    point: Array | None
    score: float | None = None
    is_over: bool = False
    is_learned: bool = True


@dataclass(frozen=True, kw_only=True)
class _State:
    """The process as of one moment."""

    process: GaussianProcess
    incumbent: float | None
    """The highest mean; None where no trial is known to keep the limits."""
    leaders: Array
    """Points with the highest means, best first."""
    count: int
    units: Units
    """What the values were standardized with."""
    span: tuple[float, float]
    """The worst and the best value."""
    within: Array
    """Columns of the observations that keep the limits."""
    traded: tuple[Traded, ...]
    """Models of further objectives; empty where nothing is traded off, or too little is known."""
    limits: tuple[Limit, ...]
    slopes: Array
    """By column, how the logarithm of an epoch's seconds grows."""
    tried: frozenset[bytes]
    """All points that trials have."""


class GpSearcher:
    """See ``Searcher``; ``watch`` connects it to the curves.

    Args:
        space, seed, mode: as of every searcher.
        first: trials before the process decides.
        cost: exponent of the seconds of an epoch that the expected improvement is divided by.
    """

    def __init__(
        self, space: Mapping[str, Parameter], *, seed: int, mode: str, first: int = 6, cost: float = 0.0
    ) -> None:
        self._axes, self._seed, self._first_trials, self._cost = Axes(space), seed, first, cost
        self._sign = 1.0 if mode == "max" else -1.0
        self._trials: dict[int, _Trial] = {}
        self._earlier: dict[int, EarlierTrial] = {}
        self._earlier_points: dict[int, Array] = {}
        self._forecasts: Forecasts | None = None
        self._allows: Callable[[Mapping[str, Any]], bool] | None = None
        self._targets = Targets(values={})
        self._prior = self._prior_of({})
        self._changes = 0
        self._known: tuple[tuple[int, int], _State | None] = ((-1, -1), None)

    def expect(self, decades: Mapping[str, float]) -> None:
        """Expect short length scales of these parameters."""
        self._prior = self._prior_of(decades)

    def _prior_of(self, decades: Mapping[str, float]) -> Prior:
        usual, spans = _LENGTH * math.sqrt(self._axes.count), self._axes.decades()
        lengths = [
            min(usual, decades[name] / spans[name]) if name in decades and name in spans else usual
            for name in self._axes.names
        ]
        return Prior(lengths=np.array(lengths), spread=_LENGTH_SPREAD, noise=_NOISE)

    def watch(self, forecasts: Forecasts) -> None:
        """Learn from the curves too."""
        self._forecasts = forecasts

    def learn_earlier(self, trials: Sequence[EarlierTrial]) -> None:
        """Learn from trials of earlier sweeps, which get numbers below 0."""
        for number, trial in enumerate(trials, -len(trials)):
            if (point := self._axes.point(trial.parameters)) is not None:
                self._earlier[number], self._earlier_points[number] = trial, point
        self._changes += 1

    def aim(self, objectives: Sequence[Objective]) -> None:
        """Search for several objectives: a front, within the limits."""
        self._targets = Targets(objectives=tuple(objectives), values={})

    def measured(self, number: int, values: Values) -> None:
        """Learn the value of each objective of a trial."""
        self._targets.values[number] = values

    def keep_to(self, allows: Callable[[Mapping[str, Any]], bool]) -> None:
        """Suggest only what is allowed."""
        self._allows = allows

    def started(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Learn that a trial runs, so that its neighbours are not suggested meanwhile."""
        self._trials[number] = _Trial(self._axes.point(parameters))
        self._changes += 1

    def tell(self, number: int, used: Mapping[str, Any], score: float | None, *, learned: bool = True) -> None:
        """Learn how a trial ended, with the parameters as really used, inside of the space or not."""
        if number in self._trials:
            score = score if score is not None and math.isfinite(score) else None
            self._trials[number] = _Trial(self._axes.point(used), score, True, learned)
            self._changes += 1

    def suggest(self, number: int, attempt: int = 0) -> dict[str, Any] | None:
        """Return parameters for trial ``number``."""
        rng = np.random.default_rng([self._seed, number, attempt])
        # Sums depend on the number of threads: a resume on a machine with other cores must give the same point.
        with threadpool_limits(1, user_api="blas"):
            known = number + len(self._earlier) if number else 0
            state = self._state() if known >= self._first_trials else None
            point = self._first(number, attempt, rng) if state is None else self._best(state, number, rng)
        return self._axes.parameters(point)

    def _first(self, number: int, attempt: int, rng: np.random.Generator) -> Array:
        """Return a point around the defaults, or the next of a sequence that covers the space."""
        home = self._home()
        if home is not None and rng.random() < _NEAR_SHARE:
            return np.asarray(self._axes.near(home, _NEAR_WIDTH, 0.3, rng, 1)[0])
        return covering_point(self._axes, self._seed, number, attempt)

    def _home(self) -> Array | None:
        """Return the defaults, which are trial 0."""
        return self._trials[0].point if 0 in self._trials else None

    def expected_scores(self) -> dict[int, float]:
        """Return the posterior mean of the final score of each trial that ended; empty while too little is known."""
        with threadpool_limits(1, user_api="blas"):
            if (state := self._state()) is None:
                return {}
            known = {n: trial.point for n, trial in self._trials.items() if trial.is_over and trial.is_learned}
            points = {n: point for n, point in known.items() if point is not None}
            if not points:
                return {}
            means, _ = state.process.predict(self._axes.columns(np.array(list(points.values()))))
        return dict(zip(points, map(float, self._sign * state.units.back(means)), strict=True))

    # What is known

    def _observed(self) -> tuple[list[int], Array, Array]:
        """Return trials with a value, these values (more is better) and their standard deviations."""
        numbers, values, deviations = self._observed_earlier()
        for number, trial in self._trials.items():
            if trial.point is None or not trial.is_learned:
                continue
            forecast = self._forecasts.of(number) if self._forecasts is not None else None
            if forecast is None and not trial.is_over:
                continue
            if forecast is None:
                value, deviation = -math.inf if trial.score is None else self._sign * trial.score, 0.0
            elif trial.is_over and trial.score is None:
                value, deviation = -math.inf, 0.0
            else:
                value, deviation = self._sign * forecast.final, forecast.deviation
            usable = abs(value) < _HUGE
            numbers.append(number)
            values.append(value if usable else -math.inf)
            deviations.append(deviation if usable else 0.0)
        return numbers, np.array(values), np.array(deviations)

    def _observed_earlier(self) -> tuple[list[int], list[float], list[float]]:
        """Return what earlier sweeps say, as of now: their gains count once trial 0 has ended here."""
        home, base = self._trials.get(0), None
        if home is not None and home.is_over:
            forecast = self._forecasts.of(0) if self._forecasts is not None else None
            base = home.score if forecast is None else forecast.final
        values = {
            number: self._sign * (one.score if one.base is None else one.score - one.base + (base or 0.0))
            for number, one in self._earlier.items()
            if one.base is None or base is not None
        }
        return list(values), list(values.values()), [self._earlier[number].deviation for number in values]

    def _state(self) -> _State | None:
        """Return the process as of now; None while too little is known."""
        moment = (self._changes, self._forecasts.version if self._forecasts is not None else 0)
        if self._known[0] != moment:
            self._known = (moment, self._fit())
        return self._known[1]

    def _fit(self) -> _State | None:
        numbers, values, deviations = self._observed()
        usable = np.isfinite(values)
        if usable.sum() < 3 or not self._axes.count:
            return None
        chosen = _subset(numbers, values, _LEARNED)
        count, numbers = len(numbers), [numbers[i] for i in chosen]
        units, z, variance = standardized(values[chosen], deviations[chosen], are_shares=self._sign > 0)
        points = np.array([self._earlier_points[n] if n < 0 else self._trials[n].point for n in numbers])
        x = self._axes.columns(points)
        few = _subset(numbers, z, _FITTED)
        scales = fitted_scales(x[few], z[few], variance[few], self._axes.groups, self._prior)
        process = GaussianProcess(x, z, variance, self._axes.groups, scales)
        means, _ = process.predict(x)
        pending = self._pending(set(numbers))
        places = dict(zip(numbers, x, strict=True))
        within = np.array([self._targets.is_within(n) for n in numbers])
        return _State(
            process=process.believing(pending), incumbent=float(means[within].max()) if within.any() else None,
            leaders=points[np.argsort(-means, kind="stable")[:5]], count=count, units=units,
            span=(float(z.min()), float(z.max())), within=x[within], traded=self._traded(places, pending),
            limits=self._limits(places), slopes=self._slopes(),
            tried=frozenset(one.point.tobytes() for one in self._trials.values() if one.point is not None),
        )  # fmt: skip

    def _pending(self, seen: set[int]) -> Array:
        """Return the columns of trials that run and have no forecast."""
        young = [trial.point for n, trial in self._trials.items() if not trial.is_over and n not in seen]
        points = [point for point in young if point is not None][-_PENDING:]
        return self._axes.columns(np.array(points).reshape(-1, self._axes.count))

    def _traded(self, points: Mapping[int, Array], pending: Array) -> tuple[Traded, ...]:
        """Return a model of each further objective without a limit; none where too little is known of one."""
        found = []
        for place in self._targets.traded[1:]:
            known = self._targets.of(place, points)
            if len(known) < 3:
                return ()
            _, z, variance = standardized(np.array(list(known.values())), np.zeros(len(known)))
            x = np.array([points[n] for n in known])
            scales = fitted_scales(x, z, variance, self._axes.groups, broad_prior(self._axes.count))
            process = GaussianProcess(x, z, variance, self._axes.groups, scales)
            found.append(Traded(process=process.believing(pending), low=float(z.min()), top=float(z.max())))
        return tuple(found)

    def _limits(self, points: Mapping[int, Array]) -> tuple[Limit, ...]:
        """Return a model of each value that has a limit."""
        targets, axes = self._targets, self._axes
        found = [
            fitted_limit(targets.objectives[place], points, targets.of(place, points), axes.groups, axes.count)
            for place in targets.limited
        ]
        return tuple(limit for limit in found if limit is not None)

    def _slopes(self) -> Array:
        """Return how the seconds of an epoch grow, as far as they were measured."""
        points, seconds = [], []
        for number, trial in self._trials.items() if self._forecasts is not None and self._cost else ():
            took = self._forecasts.seconds(number) if self._forecasts is not None else None
            if took is not None and trial.point is not None:
                points.append(trial.point)
                seconds.append(took)
        return cost_slopes(self._axes.columns(np.array(points).reshape(-1, self._axes.count)), np.array(seconds))

    # What is next

    def _best(self, state: _State, number: int, rng: np.random.Generator) -> Array:
        """Return the point that promises most of a wide choice, then of its neighbourhood."""
        axes, home = self._axes, self._home()
        weights = self._targets.weights(self._seed, number) if state.traded else None
        pools = [axes.anywhere(rng.random((400, axes.count)))]
        if home is not None:
            pools.append(axes.near(home, 0.2, 0.3, rng, 150))
        for leader in state.leaders:
            pools += [
                axes.near(leader, width, keep, rng, 40) for width, keep in ((0.05, 0.5), (0.12, 0.5), (0.25, 0.7))
            ]
        points = np.vstack(pools)
        for round_ in range(_ROUNDS):
            top = points[np.argsort(-self._promise(state, points, weights), kind="stable")[:6]]
            points = np.vstack([top, *(axes.near(point, 0.06 / 2**round_, 0.6, rng, 30) for point in top)])
        return np.asarray(points[int(np.argmax(self._promise(state, points, weights)))])

    def _promise(self, state: _State, points: Array, weights: Array | None) -> Array:
        """Return the logarithm of expected improvement, weighted by the prior; minus infinity where it was tried."""
        columns = self._axes.columns(points)
        promise, incumbent = np.zeros(len(points)), state.incumbent
        if incumbent is not None:
            mean, deviation = state.process.predict(columns)
            if weights is not None:
                models = (Traded(process=state.process, low=state.span[0], top=state.span[1]), *state.traded)
                incumbent = float(folded(models, weights, state.within)[0].max())
                mean, deviation = folded(models, weights, columns)
            deviation = deviation * math.sqrt(1 + _DOUBT * self._axes.count / state.count)
            promise = np.log(deviation) + _log_improvement((mean - incumbent) / deviation)
        for limit in state.limits:
            promise = promise + limit.log_chance(columns)
        promise -= self._cost * (columns @ state.slopes)
        home = self._home()
        if home is not None:
            gap = (columns - self._axes.columns(home[None])) / _PRIOR_WIDTH
            promise -= _PRIOR_TRIALS / (1 + state.count) * 0.5 * (gap * gap).sum(1)
        out = [point.tobytes() in state.tried for point in points]
        if (allows := self._allows) is not None:
            out = [one or not allows(self._axes.parameters(point)) for one, point in zip(out, points, strict=True)]
        return np.asarray(np.where(out, -np.inf, promise))


def _log_improvement(z: Array) -> Array:
    """Return log(phi(z) + z Phi(z)), stable far below 0."""
    density = -0.5 * z * z - 0.5 * math.log(2 * math.pi)
    low = z < -5
    safe = np.where(low, 0.0, z)
    near = np.log(np.exp(-0.5 * safe * safe) / math.sqrt(2 * math.pi) + safe * ndtr(safe))
    return np.asarray(np.where(low, density - 2 * np.log(np.maximum(np.abs(z), 1.0)), near))


def _subset(numbers: list[int], values: Array, size: int) -> NDArray[np.int64]:
    """Return which of many observations are used: the best, the newest, and evenly spaced ones of the others."""
    count = len(numbers)
    if count <= size:
        return np.arange(count)
    best = np.argsort(-values, kind="stable")[: size // 2]
    newest = np.arange(count - size // 4, count)
    others = np.setdiff1d(np.arange(count), np.concatenate([best, newest]))
    left = size - len(np.union1d(best, newest))
    spaced = others[np.linspace(0, len(others) - 1, min(left, len(others))).astype(int)]
    return np.unique(np.concatenate([best, newest, spaced]))
