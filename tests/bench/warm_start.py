"""What an earlier sweep is worth: the same search with and without it, on data that are like the earlier ones.

    python -m tests.bench.warm_start

The earlier sweep has ended on a data set of one of the simulated families, at the cost of 20 whole trainings. The new
data differ: each coordinate of the optimum is moved by a normal step (``--moved``, in shares of the range), and the
score that can be reached by a factor of 0.8 to 1.2. Scores there are not those here, so gains over the defaults are
what counts, as for sweeps whose data have another fingerprint.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from tests.bench.search import FAMILIES, NAMES, Problem, Production, Sweep, experiment_of, score_of

from yolosweep.ledger import read_events
from yolosweep.records import PreparedDataset
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.search.warm_start import EarlierSweep

COSTS = (5.0, 10.0, 20.0, 40.0)
WORKERS = 4
OTHER_DATA = PreparedDataset(task="detect", source="n", train_on="n", names={0: "a"}, images={}, fingerprint="new")


def moved(problem: Problem, seed: int, by: float) -> Problem:
    """Return a problem that is like another one."""
    rng, found = np.random.default_rng([FAMILIES.index(problem.family), seed, 13]), copy.copy(problem)
    found.__dict__.pop("best", None)
    found.optimum = np.clip(problem.optimum + rng.normal(0, by, len(NAMES)), 0.02, 0.98)
    found.top = problem.top * rng.uniform(0.8, 1.2)
    return found


def regrets(problem: Problem, seed: int, earlier: Sequence[EarlierTrial] = ()) -> list[float]:
    """Return the regret of the best trial at each cost, in points."""
    method, found = Production(problem, "gp", "soft", seed, earlier=earlier), list[float]()
    try:
        sweep = Sweep(problem, method, WORKERS, seed)
        for _ in sweep.epochs():
            while len(found) < len(COSTS) and sweep.spent >= COSTS[len(found)] * sweep.unit:
                lead = max(sweep.trainings.values(), key=score_of)
                found.append(100 * (problem.best - problem.curve(lead.job.config, seed).true))
            if len(found) == len(COSTS):
                return found
        raise RuntimeError("the sweep ended too early")
    finally:
        method.close()


def trials_of(problem: Problem, seed: int, cost: float) -> tuple[EarlierTrial, ...]:
    """Return what a sweep says about other data."""
    method = Production(problem, "gp", "soft", seed)
    try:
        sweep = Sweep(problem, method, WORKERS, seed)
        for _ in sweep.epochs():
            if sweep.spent >= cost * sweep.unit:
                break
        known = EarlierSweep("before", read_events(method.folder.ledger))
        return known.trials(experiment_of(problem, {"trials": 1}, seed), OTHER_DATA)
    finally:
        method.close()


def main(words: list[str] | None = None) -> None:
    """Run the bench and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    arguments.add_argument("--seeds", type=int, default=10, help="pairs of sweeps in each family")
    arguments.add_argument("--moved", type=float, default=0.1, help="how far the optimum moved")
    asked = arguments.parse_args(words)
    pairs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family in asked.families:
            for seed in range(asked.seeds):
                before = Problem(family, seed)
                earlier, new = trials_of(before, seed + 1000, COSTS[2]), moved(before, seed, asked.moved)
                pairs.append((regrets(new, seed), regrets(new, seed, earlier)))
    cold, warm = np.array(pairs).transpose(1, 0, 2)
    table = Table(title=f"Regret, points, {len(pairs)} pairs, optimum moved by {asked.moved:g}", title_justify="left")
    for head in ("cost", "without", "with an earlier sweep", "difference"):
        table.add_column(head, justify="right")
    for place, cost in enumerate(COSTS):
        columns = (cold[:, place], warm[:, place], warm[:, place] - cold[:, place])
        halves = [1.96 * column.std(ddof=1) / np.sqrt(len(column)) for column in columns]
        told = [f"{column.mean():.2f} ± {half:.2f}" for column, half in zip(columns, halves, strict=True)]
        table.add_row(f"{cost:g}", *told)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
