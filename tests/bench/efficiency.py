"""How busy the sweep controller keeps many workers: it answers one after the other, and its CPU time is their waiting.

    python -m tests.bench.efficiency --workers 1 100 1000 10000

A virtual clock moves on by the CPU time that each answer took, as measured, ledger included; workers that ask
meanwhile wait in line. A training of the defaults takes 100 minutes of a worker (20 reports of 5 minutes), others half
to one and a half as long, and all 20 s to start. With faults, one worker in ten is half as fast, and a worker is lost
every 200 reports: what it trained since its last report is lost, and it needs five minutes to come back. Efficiency:
share of the workers' time that goes into epochs that are reported; the rest is waiting for answers, starting, and what
was lost.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from tests.bench.search import EPOCHS, Problem, Production, Timed, TrueCurve

from yolosweep.search.simulation import Simulation, Training

EPOCH_S, START_S, REPORTS = 300.0, 20.0, 20
SLOW, LOST, BACK_S = 0.1, 1 / 200, 300.0


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """One fleet of workers."""

    workers: int
    faults: bool
    share: float
    decisions: int
    seconds: float
    """CPU time of all decisions."""
    slowest: float
    """The longest that a worker waited for an answer."""


class Reported(Problem):
    """A problem whose trainings report less often."""

    epochs = REPORTS

    def curve(self, config: dict[str, Any], seed: int) -> TrueCurve:
        """See ``World``."""
        whole = super().curve(config, seed)
        kept = whole.scores[EPOCHS // REPORTS - 1 :: EPOCHS // REPORTS]
        return TrueCurve(scores=kept, epoch_s=EPOCH_S * whole.epoch_s, true=whole.true)


class Fleet(Simulation):
    """Workers that wait for the controller's answers, and fail if they are to."""

    def __init__(self, production: Production, problem: Reported, workers: int, *, faults: bool) -> None:
        self._timed = Timed(production)
        super().__init__(self._timed, lambda job: problem.curve(job.config, 0), workers)
        self._production, self._faults, self._rng = production, faults, np.random.default_rng(0)
        self._answered, self._thought, self._away = 0.0, 0.0, 0.0
        self.wasted, self.slowest, self.reports = 0.0, 0.0, 0

    def _seconds(self, one: Training) -> float:
        is_slow = self._faults and one.worker % round(1 / SLOW) == 0
        return one.curve.epoch_s * (2 if is_slow else 1)

    def _wait(self, one: Training, epochs: float) -> None:
        """Wait for the answer, which comes after those that were asked for before, then train."""
        took, self._thought = self._timed.seconds - self._thought, self._timed.seconds
        self._answered = max(self._answered, self.clock.now) + took
        waited = self._answered - self.clock.now
        self.slowest = max(self.slowest, waited)
        rest = waited + self._away + (START_S if epochs > 1 else 0.0)
        self.wasted, self._away = self.wasted + rest, 0.0
        super()._wait(one, (rest + self._seconds(one)) / one.curve.epoch_s)

    def _epoch(self, one: Training) -> bool:
        if self._faults and self._rng.random() < LOST:
            self._production.lost(one.job.trial)
            self._away, self.wasted = BACK_S, self.wasted + self._seconds(one)
            self._start(one.worker)
            return False
        self.reports += 1
        return super()._epoch(one)


def measure(workers: int, reports: int, *, faults: bool) -> Efficiency:
    """Let a fleet train until it has made so many reports a worker."""
    problem = Reported("typical", 0)
    production = Production(problem, "gp", "soft", 0)
    try:
        fleet = Fleet(production, problem, workers, faults=faults)
        for _ in fleet.epochs():
            if fleet.reports >= reports * workers:
                break
        share = 1 - fleet.wasted / (workers * fleet.clock.now)
        return Efficiency(
            workers=workers, faults=faults, share=share, decisions=fleet.reports + len(fleet.trainings),
            seconds=fleet._timed.seconds, slowest=fleet.slowest,
        )  # fmt: skip
    finally:
        production.close()


def main(words: list[str] | None = None) -> list[Efficiency]:
    """Run the bench, print its table and return its lines."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--workers", type=int, nargs="+", default=[1, 100, 1000])
    arguments.add_argument("--reports", type=int, default=2 * REPORTS, help="of each worker")
    asked = arguments.parse_args(words)
    found, console = [], Console(width=120)
    console.print("workers  faults  efficiency  decisions  a second  longest wait")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for workers in asked.workers:
            for faults in (False, True):
                found.append(one := measure(workers, asked.reports, faults=faults))
                told = f"{workers:7}  {'yes' if faults else 'no':>6}  {one.share:10.3f}  {one.decisions:9}"
                console.print(f"{told}  {one.decisions / one.seconds:8.0f}  {one.slowest:10.1f} s")
    return found


if __name__ == "__main__":
    main()
