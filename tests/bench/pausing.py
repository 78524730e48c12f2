"""What it would be worth to pause trainings and resume them later, instead of stopping them for good.

    python -m tests.bench.pausing --seeds 7

The ``soft`` pruner decides over the curves of :mod:`tests.bench.search`; configurations come from a cheap stand-in for
``gp`` (a fifth from anywhere, the others near the best forecasts), so that a sweep takes less than a second. Rules:

- ``stop P``: below a chance of P a training ends for good, as in production with P = 0.02.
- ``oracle P``: the same, but whoever knows the truth resumes each training that would beat the best one. A rule
  that has to guess can hardly do better.
- ``index``: a training goes on, or goes on again, while its chance to beat the best per epoch left is at least that of
  new trainings lately (half of it for those that run, 0.8 of it for those that wait).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tests.bench.search import COSTS, DEFAULTS, EPOCHS, HOME, NAMES, SPACE, Problem, Sweep, interval

from yolosweep.experiment.schema import Search
from yolosweep.records import Ending, EpochResult, TrialRecord
from yolosweep.records.events import EpochRecorded, TrialEnded, TrialResumed
from yolosweep.search.pruners.soft import SoftPruner
from yolosweep.search.simulation import Job

FAMILIES = ("late", "crossing", "typical", "noisy")
RULES = ("stop 0.005", "stop 0.01", "stop 0.02", "oracle 0.02", "oracle 0.1", "index")
_RUNNING, _WAITING, _LATELY = 0.5, 0.8, 25
"""Shares of the rate of new trainings, and how many of these count."""


def configuration(point: NDArray[np.float64]) -> dict[str, Any]:
    """Return the configuration at coordinates from 0 to 1."""
    found: dict[str, Any] = {}
    for place, (name, axis) in zip(point, SPACE.items(), strict=True):
        if "values" in axis:
            found[name] = axis["values"][round(float(place) * (len(axis["values"]) - 1))]
        elif "distribution" in axis:
            found[name] = float(axis["min"] * (axis["max"] / axis["min"]) ** place)
        else:
            found[name] = float(axis["min"] + place * (axis["max"] - axis["min"]))
    return found


class Pausing:
    """A ``Method`` whose stopped trainings can be resumed."""

    def __init__(self, rule: str, seed: int, true: Callable[[str], float]) -> None:
        self._rule, _, chance = rule.partition(" ")
        options = {"pruner": "soft", "grace_epochs": 10, "parameters": {"lr0": {"min": 0.1, "max": 1.0}}}
        search = Search.model_validate(options)
        self._pruner = SoftPruner(search, EPOCHS, chance=float(chance or 0.1), top=1, complete=3, protected=0.15)
        self._rng, self._true = np.random.default_rng([seed, 3]), true
        self._points: dict[str, NDArray[np.float64]] = {}
        self._scores: dict[str, list[float]] = {}
        self._wins: list[str] = []
        self._best, self._waiting, self._spared, self.resumed = 0.0, set[str](), set[str](), 0

    def next(self) -> Job:
        """See ``Method``."""
        if (trial := self._promising()) is not None:
            self._waiting.discard(trial)
            self.resumed += 1
            gone = len(self._scores[trial])
            self._pruner.apply(TrialResumed(trial=trial, attempt=1, cause="", reason="", from_epoch=gone))
        else:
            trial = f"t{len(self._points):04d}"
            self._points[trial], self._scores[trial] = self._point(), []
        return Job(trial=trial, config=dict(DEFAULTS) if trial == "t0000" else configuration(self._points[trial]))

    def _point(self) -> NDArray[np.float64]:
        rng, count = self._rng, len(NAMES)
        if not self._points:
            return HOME.copy()
        if len(self._points) < 6 or rng.random() < 0.2:
            near = HOME + rng.normal(0, 0.22, count) * (rng.random(count) > 0.3)
            point = near if rng.random() < 0.34 else rng.random(count)
        else:
            lead = sorted(self._points, key=self._forecast)[-3:]
            middle = np.mean([self._points[one] for one in lead], axis=0)
            base = middle if rng.random() < 0.5 else self._points[lead[-1]]
            point = base + rng.normal(0, 0.14, count) * (rng.random(count) > 0.4)
        folded = np.abs(point)
        return np.clip(np.where(folded > 1, 2 - folded, folded), 0, 1)

    def _forecast(self, trial: str) -> float:
        found = self._pruner._forecasts.of(trial)
        return -1.0 if found is None else found.final

    def _promising(self) -> str | None:
        """Return the training that goes on next of those that wait; None where a new one starts."""
        if not self._waiting or self._rule == "stop":
            return None
        if self._rule == "oracle":
            lead = max(self._scores, key=lambda one: max(self._scores[one], default=-1.0))
            value, trial = max((self._true(one), one) for one in self._waiting)
            self._spared |= {trial} if value > self._true(lead) else set()
            return trial if value > self._true(lead) else None
        forecasts = self._pruner._forecasts
        chances = {one: forecasts.of(one) for one in self._waiting}
        value, trial = max(
            (0.0 if found is None else found.chance(self._best, "max") / (EPOCHS - len(self._scores[one])), one)
            for one, found in chances.items()
        )
        return trial if value > _WAITING * self._rate() else None

    def _rate(self) -> float:
        """Return how often a new training beat the best one lately, per epoch."""
        newest = sorted(self._scores)[-_LATELY:]
        return (sum(one in newest for one in self._wins) + 0.5) / (sum(len(self._scores[o]) for o in newest) + 50)

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        """See ``Method``."""
        row = EpochResult.model_construct(epoch=epoch, score=score, seconds=1.0)
        stops = trial != "t0000" and trial not in self._spared and self._stops(trial, row)
        self._scores[trial].append(score)
        self._pruner.apply(EpochRecorded.model_construct(trial=trial, row=row))
        return Ending.PRUNED if stops else None

    def _stops(self, trial: str, row: EpochResult) -> bool:
        if self._rule != "index":
            return self._pruner.should_stop(trial, row)
        outlook = self._pruner._outlook(trial, row)
        return outlook is not None and outlook.chance / (EPOCHS - row.epoch) < _RUNNING * self._rate()

    def ended(self, trial: str, how: Ending) -> None:
        """See ``Method``."""
        self._waiting |= {trial} if how is Ending.PRUNED else set()
        best = max(self._scores[trial], default=None)
        record = TrialRecord.model_construct(trial=trial, number=int(trial[1:]), ending=how, score=best)
        self._pruner.apply(TrialEnded.model_construct(record=record))
        if how is Ending.FINISHED and (final := self._forecast(trial)) > self._best:
            self._best = final
            self._wins.append(trial)

    def close(self) -> None:
        """See ``Method``."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One sweep at the last cost."""

    rule: str
    family: str
    regret: float
    pruned: bool
    epochs: float
    """Of a training."""
    resumed: int


def sweep(rule: str, family: str, seed: int) -> Found:
    """Run one sweep."""
    problem = Problem(family, seed)
    trainings = dict[str, Any]()
    method = Pausing(rule, seed, lambda trial: problem.curve(trainings[trial].job.config, seed).true)
    found = Sweep(problem, method, 4, seed)
    trainings = found.trainings
    regret, _, _ = found.run()
    best = max(trainings.values(), key=lambda one: problem.curve(one.job.config, seed).true)
    epochs = sum(one.epoch for one in trainings.values()) / len(trainings)
    pruned = best.how is Ending.PRUNED
    return Found(rule=rule, family=family, regret=regret[-1], pruned=pruned, epochs=epochs, resumed=method.resumed)


def main(words: list[str] | None = None) -> list[Found]:
    """Run the bench, print its table and return the sweeps."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=7, help="sweeps of each rule on each family")
    arguments.add_argument("--rules", nargs="+", default=list(RULES))
    asked = arguments.parse_args(words)
    found = [sweep(rule, family, seed) for seed in range(asked.seeds) for family in FAMILIES for rule in asked.rules]
    table = Table(title=f"At cost {COSTS[-1]:g}", title_justify="left")
    columns: dict[str, Callable[[Found], float]] = {
        "regret, points": lambda one: one.regret,
        "best stopped, %": lambda one: 100 * one.pruned,
        "epochs a trial": lambda one: one.epochs,
        "resumed": lambda one: one.resumed,
    }
    for head in ("rule", *columns):
        table.add_column(head, justify="left" if head == "rule" else "right")
    for rule in asked.rules:
        cells = []
        for value in columns.values():
            by_family = defaultdict[str, list[float]](list)
            for one in found:
                if one.rule == rule:
                    by_family[one.family].append(value(one))
            cells.append(interval(by_family))
        table.add_row(rule, *cells)
    Console(width=120).print(table)
    return found


if __name__ == "__main__":
    main()
