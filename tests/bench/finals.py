"""What finals are worth: the simulator of :mod:`tests.bench.search`, with what is recommended and quoted at equal cost.

    python -m tests.bench.finals --seeds 4

At each cost a sweep recommends the trial with the best score, the one that the searcher's model expects most of, or the
winner of finals that are part of the same cost: the best three and the defaults, trained with three new seeds each.
``verdict`` is the best score where the verdict calls it better, as in :mod:`tests.bench.search`, else the defaults.

After finals, what a new training is expected to score is quoted.

Regret: the best true final score in the space minus that of the recommended configuration. Optimism: the score quoted
minus the true one; surplus: minus the mean score of fresh seeds, as it is without any choice. All in points (0.01 mAP).
Called better: by the verdict, after finals by their seeds. False: although the defaults are at least as good.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tests.bench.search import (
    COSTS,
    DEFAULTS,
    EPOCHS,
    FAMILIES,
    Problem,
    Production,
    Sweep,
    epoch_cost,
    interval,
    is_better,
    score_of,
)

from yolosweep.diagnosis.finals_comparison import compared_seeds, seed_table
from yolosweep.records import Ending
from yolosweep.records.verdict import Finalist
from yolosweep.search.simulation import START_EPOCHS

TOP, SEEDS = 3, 3
"""Finalists beside the defaults, and the new seeds of each."""
FRESH = 12
"""Seeds for the mean score of a configuration."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What a sweep recommends, and says about it."""

    family: str
    seed: int
    cost: float
    """The cost that it was asked for at, in whole trainings of the defaults."""
    by: str
    spent: float
    regret: float
    optimism: float
    surplus: float
    gain: float
    """True score minus that of the defaults."""
    better: bool
    """Whether it is called better than the defaults."""


class Look:
    """One sweep as of now."""

    def __init__(self, sweep: Sweep, method: Production, family: str, cost: float) -> None:
        self._sweep, self._problem = sweep, sweep.problem
        self._trainings, self._base = sweep.trainings, next(iter(sweep.trainings))
        self._expected = method.expected()
        self._family, self._cost = family, cost

    def plain(self) -> Iterator[Recommendation]:
        """Yield what is recommended without finals."""
        best = max(self._trainings, key=lambda name: score_of(self._trainings[name]))
        better = self._is_better(best)
        yield self._said("score", best, score_of(self._trainings[best]), self._sweep.spent, better)
        kept = best if better else self._base
        yield self._said("verdict", kept, score_of(self._trainings[kept]), self._sweep.spent, better)
        best = self._whole(by_model=True)[0]
        quoted = self._expected.get(best, score_of(self._trainings[best]))
        yield self._said("model", best, quoted, self._sweep.spent, self._is_better(best))

    def _is_better(self, best: str) -> bool:
        return is_better(self._trainings[best], list(self._trainings.values()))

    def finals(self, *, by_model: bool) -> Recommendation:
        """Return what is recommended after finals."""
        chosen = [name for name in self._whole(by_model=by_model) if name != self._base][:TOP]
        rows, spent = list[Finalist](), self._sweep.spent
        for number, name in enumerate((self._base, *chosen)):
            scores, config = dict[int, float | None](), self._trainings[name].job.config
            curves = dict[int, tuple[float | None, ...]]()
            for seed in range(1, SEEDS + 1):
                curve = self._problem.curve(config, 1000 * (self._sweep.seed + 1) + seed)
                spent += ((curve.diverges_at or EPOCHS) + START_EPOCHS) * epoch_cost(config)
                curves[seed] = tuple(curve.scores[: curve.diverges_at])
                scores[seed] = max(curve.scores[: curve.diverges_at])
            rows.append(Finalist(trial=name, number=number, scores=scores, curves=curves))
        table = seed_table(rows, "max")
        assert table is not None
        winner, said = next(iter(table.rows)), compared_seeds(table, "max")
        by = f"finals of the best by {'model' if by_model else 'score'}"
        assert said.expected is not None
        return self._said(by, winner, said.expected, spent, said.low > 0)

    def _whole(self, *, by_model: bool) -> list[str]:
        """Return the trials that trained to their end, best first."""
        whole = [name for name, one in self._trainings.items() if one.how is Ending.FINISHED]
        known = self._expected if by_model else {}
        return sorted(whole, key=lambda name: -known.get(name, score_of(self._trainings[name])))

    def _said(self, by: str, trial: str, quoted: float, spent: float, better: bool) -> Recommendation:
        config = self._trainings[trial].job.config
        true, base = (self._problem.curve(one, 0).true for one in (config, DEFAULTS))
        fresh = float(np.mean([max(self._problem.curve(config, 100_000 + seed).scores) for seed in range(FRESH)]))
        return Recommendation(
            family=self._family, seed=self._sweep.seed, cost=self._cost, by=by, spent=spent / EPOCHS,
            regret=100 * (self._problem.best - true),
            optimism=100 * (quoted - true), surplus=100 * (quoted - fresh), gain=100 * (true - base), better=better,
        )  # fmt: skip


def looks(job: tuple[str, int, int, tuple[float, ...]]) -> list[Recommendation]:
    """Run one sweep of the default search and return what it recommends at each cost."""
    family, seed, workers, costs = job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = Problem(family, seed)
        method = Production(problem, "gp", "soft", seed)
        try:
            return list(_looks(Sweep(problem, method, workers, seed), method, family, costs))
        finally:
            method.close()


def _looks(sweep: Sweep, method: Production, family: str, costs: Sequence[float]) -> Iterator[Recommendation]:
    reserve = (TOP + 1) * SEEDS * (1 + START_EPOCHS / EPOCHS)
    due = sorted([(cost, cost) for cost in costs] + [(cost - reserve, cost) for cost in costs])
    for _ in sweep.epochs():
        while due and sweep.spent >= due[0][0] * EPOCHS:
            at, cost = due.pop(0)
            look = Look(sweep, method, family, cost)
            if at == cost:
                yield from look.plain()
            else:
                yield from (look.finals(by_model=by_model) for by_model in (False, True))
        if not due:
            return


def tables(found: Sequence[Recommendation]) -> Iterator[Table]:
    """Yield a table for each cost."""
    values: dict[str, Callable[[Recommendation], float]] = {
        "cost spent": lambda one: one.spent,
        "regret": lambda one: one.regret,
        "optimism": lambda one: one.optimism,
        "surplus": lambda one: one.surplus,
        "called better, %": lambda one: 100 * one.better,
    }
    for cost in sorted({one.cost for one in found}):
        table = Table(title=f"At cost {cost:g}", title_justify="left")
        for head in ("recommended by", *values, "false, %"):
            table.add_column(head, justify="left" if head == "recommended by" else "right")
        for by in dict.fromkeys(one.by for one in found if one.cost == cost):
            chosen = [one for one in found if (one.cost, one.by) == (cost, by)]
            cells = [interval(_by_family(chosen, value)) for value in values.values()]
            wrong = [one for one in chosen if one.better and one.gain <= 0]
            table.add_row(by, *cells, f"{100 * len(wrong) / len(chosen):.0f} ({len(wrong)} of {len(chosen)})")
        yield table


def _by_family(chosen: Sequence[Recommendation], value: Callable[[Recommendation], float]) -> dict[str, list[float]]:
    families = dict.fromkeys(one.family for one in chosen)
    return {family: [value(one) for one in chosen if one.family == family] for family in families}


def run(
    jobs: Sequence[tuple[str, int, int, tuple[float, ...]]], file: Path | None, processes: int
) -> list[Recommendation]:
    """Run what the file does not hold yet, and add it there."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    found = [Recommendation(**json.loads(line)) for line in lines]
    known = {(one.family, one.seed) for one in found}
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for part in pool.imap(looks, [job for job in jobs if job[:2] not in known]):
            found += part
            if file is not None:
                with file.open("a") as out:
                    out.writelines(json.dumps(asdict(one)) + "\n" for one in part)
    return found


def main(words: list[str] | None = None) -> Any:
    """Run the bench, print its tables and return what was recommended."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    arguments.add_argument("--seeds", type=int, default=8, help="sweeps of each family")
    arguments.add_argument("--workers", type=int, default=4, help="trainings at a time")
    arguments.add_argument("--costs", nargs="+", type=float, default=list(COSTS))
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--file", type=Path, help="keeps what was found, so that a later run continues")
    asked = arguments.parse_args(words)
    rest = (asked.workers, tuple(asked.costs))
    jobs = [(family, seed, *rest) for seed in range(asked.seeds) for family in asked.families]
    found = run(jobs, asked.file, asked.processes)
    for table in tables(found):
        Console(width=160).print(table)
    return found


if __name__ == "__main__":
    main()
