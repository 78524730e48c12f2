"""How long a decision takes in a sweep of many trials.

    python -m tests.bench.long_history --trials 200 1000 10000

Random search writes a ledger of so many trials, 20 epochs each, through the sweep controller on a virtual clock.
Another controller with ``gp`` and ``soft`` then goes on with it, as after a resume. Printed is CPU time: to read the
ledger, for a suggestion, and for a report (both medians, and the slowest in brackets).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from tests.bench.efficiency import Reported
from tests.bench.search import Production

from yolosweep.search.simulation import Simulation

MORE = 10
"""Trials that the second controller suggests; the first one that it trains had not ended."""


@dataclass(kw_only=True)
class Took:
    """What the answers of a controller took, in seconds of CPU."""

    trials: int
    read: float
    suggestions: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)


def measure(trials: int) -> Took:
    """Write a ledger and let another controller go on with it."""
    problem = Reported("typical", 0)
    before = Production(problem, "random", "none", 0)
    try:
        train(problem, before, trials)
        before.controller.close()
        began = time.process_time()
        after = Production(problem, "gp", "soft", 0, before.folder)
        took = Took(trials=trials, read=time.process_time() - began)
        after.next = timed(after.next, took.suggestions)  # type: ignore[method-assign]
        after.row = timed(after.row, took.reports)  # type: ignore[method-assign]
        train(problem, after, MORE)
        after.controller.close()
        return took
    finally:
        before.close()


def train(problem: Reported, production: Production, trials: int) -> None:
    """Train so many trials, one after the other."""
    simulation = Simulation(production, lambda job: problem.curve(job.config, 0), 1)
    for _ in simulation.epochs():
        if len(simulation.trainings) > trials:
            break


def timed(call: Callable[..., Any], took: list[float]) -> Callable[..., Any]:
    """Return a function that notes what each call takes."""

    def noted(*words: Any) -> Any:
        began = time.process_time()
        answer = call(*words)
        took.append(time.process_time() - began)
        return answer

    return noted


def main(words: list[str] | None = None) -> list[Took]:
    """Run the bench, print its lines and return them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, nargs="+", default=[200, 1000, 10000])
    found, console = [], Console(width=120)
    console.print("trials   read, s  a suggestion, s   a report, ms")
    for trials in arguments.parse_args(words).trials:
        found.append(one := measure(trials))
        suggested = one.suggestions[1:]
        each = f"{statistics.median(suggested):.2f} ({max(suggested):.2f})"
        reports = f"{1000 * statistics.median(one.reports):.1f} ({1000 * max(one.reports):.0f})"
        console.print(f"{trials:6}  {one.read:8.1f}  {each:>15}  {reports:>13}")
    return found


if __name__ == "__main__":
    main()
