"""Runs and their trials as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from yolosweep.cli.console import add_row, fits, new_table, print_line, show_table, wrapped
from yolosweep.records import Ending
from yolosweep.records.summary import DamagedRun, RunOverview, Summary, TrialSummary
from yolosweep.records.trial_columns import Column, columns_of, setting_text
from yolosweep.records.verdict import Outcome

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["SHOWN", "describe_answer", "describe_run", "describe_runs"]

SHOWN = 15
"""Trials that ``show`` lists unless all are asked for."""
_FAILURES = {ending.value for ending in Ending if ending.is_failure}
_STYLES = {
    Outcome.BETTER: "bold green",
    Outcome.NO_DIFFERENCE: "bold yellow",
    Outcome.WORSE: "bold yellow",
    Outcome.NOT_LEARNED: "bold red",
    Outcome.UNDECIDED: "bold",
}


def describe_run(summary: Summary, *, every: bool = False) -> None:
    """Print the verdict on a run and its trials, best first: the best fifteen, or every one."""
    describe_answer(summary)
    print_line("")
    ordered = summary.best_first
    shown = ordered if every else ordered[:SHOWN]
    _print_trials(summary, shown)
    if len(shown) < len(ordered):
        print_line(f"{len(ordered) - len(shown)} more: --all")
    for trial in summary.trials:
        if trial.ending in _FAILURES:
            print_line(wrapped(f"{trial.trial} {trial.ending}: {trial.reason}", indent="  ", first=""))
        elif trial.diverged:
            print_line(wrapped(f"{trial.trial} diverged silently: {trial.diverged}", indent="  ", first=""))
    for sentence in summary.warnings:
        print_line(wrapped(f"warning: {sentence}", indent="  ", first=""))
    if summary.resumes:
        count = len(summary.resumes)
        print_line("resumed once" if count == 1 else f"resumed {count} times")


def describe_answer(summary: Summary) -> None:
    """Print whether the sweep found something better, how sure that is, and how it was found."""
    verdict = summary.verdict
    print_line(wrapped(verdict.sentence), style=_STYLES[verdict.outcome])
    for sentence in verdict.details:
        print_line(wrapped(sentence, indent="  "))
    if summary.diagnoses:
        print_line(wrapped(f"Diagnosis: {summary.diagnoses[0].sentence}", indent="  "))
    if summary.mistakes:
        print_line(wrapped(f"Mistakes: {summary.mistakes}", indent="  "))


def _print_trials(summary: Summary, trials: Sequence[TrialSummary]) -> None:
    """Print a table of trials; the settings stand below each trial where the terminal is too narrow for columns."""
    columns = columns_of("show", trials, metric=summary.metric)
    table = _table(columns, trials, box=True)
    if fits(table):
        show_table(table)
        return
    narrow = [column for column in columns if column.name not in summary.parameters]
    lines = _aligned(narrow, trials)
    print_line(lines[0], style="bold")
    for line, trial in zip(lines[1:], trials, strict=True):
        print_line(line)
        settings = " ".join(f"{name}={setting_text(value)}" for name, value in trial.parameters.items())
        print_line(wrapped(settings, indent="       "), style="dim")


def _table(columns: Sequence[Column], trials: Sequence[TrialSummary], *, box: bool) -> Table:
    table = new_table([c.heading for c in columns], right=[c.heading for c in columns if c.numeric], box=box)
    for trial in trials:
        add_row(table, [column.cell(trial) for column in columns])
    return table


def _aligned(columns: Sequence[Column], trials: Sequence[TrialSummary]) -> list[str]:
    """Return the heading and a line per trial, as narrow as the cells allow."""
    rows = [[column.heading for column in columns], *([c.cell(trial) for c in columns] for trial in trials)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(wide) if column.numeric else cell.ljust(wide)
            for cell, wide, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in rows
    ]


def describe_runs(runs: Sequence[RunOverview | DamagedRun]) -> None:
    """Print a table of runs; each on two lines where the terminal is too narrow for its address."""
    headings = ("run", "started", "status", "trials", "best", "trial")
    table = new_table(headings)
    for run in runs:
        add_row(table, _cells(run))
    if fits(table):
        show_table(table)
        return
    for run in runs:
        address, *cells = _cells(run)
        print_line(address, style="bold")
        print_line("  " + "  ".join(cell for cell in cells if cell))


def _cells(run: RunOverview | DamagedRun) -> tuple[str, ...]:
    if isinstance(run, DamagedRun):
        return (run.run, "", run.status, "", "", "")
    best = "" if run.best is None else f"{run.best:.4f}"
    return (run.run, run.started[:16], run.status, str(run.trials), best, run.best_trial or "")
