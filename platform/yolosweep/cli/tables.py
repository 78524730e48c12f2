"""Runs and their trials as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolosweep.cli.console import print_line, print_table
from yolosweep.errors import RunFolderError, UsageError
from yolosweep.ledger import RunFolder, runs_below
from yolosweep.ledger.history import History
from yolosweep.records import Ending
from yolosweep.records.columns import columns_of
from yolosweep.records.summary import DamagedRun, RunOverview, Summary
from yolosweep.storage.addresses import is_address

__all__ = ["describe_run", "describe_runs", "runs_in"]

_FAILURES = {ending.value for ending in Ending if ending.is_failure}


def describe_run(summary: Summary) -> None:
    """Print the trials of a run."""
    columns = columns_of("show", summary.trials, metric=summary.metric)
    rows = [[column.cell(trial) for column in columns] for trial in summary.trials]
    right = [column.heading for column in columns if column.numeric]
    print_table([column.heading for column in columns], rows, right=right, box=True)
    for trial in summary.trials:
        if trial.ending in _FAILURES:
            print_line(f"{trial.trial} {trial.ending}: {trial.reason}")
        elif trial.diverged:
            print_line(f"{trial.trial} diverged silently: {trial.diverged}")
    if summary.diagnoses:
        print_line(f"diagnosis: {summary.diagnoses[0].sentence}")
    for sentence in summary.warnings:
        print_line(f"warning: {sentence}")
    if summary.resumes:
        count = len(summary.resumes)
        print_line("resumed once" if count == 1 else f"resumed {count} times")


def runs_in(storage: str) -> list[RunOverview | DamagedRun]:
    """Return the runs in a storage folder, newest first; a damaged one is listed with its fault.

    Raises:
        UsageError: the folder does not exist.
        RunFolderError: the object storage cannot be read.
    """
    if not is_address(storage) and not Path(storage).expanduser().is_dir():
        raise UsageError(f"there is no folder {storage}; pass the storage: of your experiments")
    return sorted(map(_overview, runs_below(storage)), key=lambda run: run.started, reverse=True)


def _overview(folder: RunFolder) -> RunOverview | DamagedRun:
    try:
        history = History.of(folder)
    except RunFolderError as error:
        return DamagedRun(run=folder.address, fault=str(error))
    best = next(iter(history.ranked()), None)
    return RunOverview(
        run=folder.address,
        started=history.started.at.isoformat(timespec="milliseconds"),
        status=history.ended.status if history.ended else "not ended",
        trials=len(history.trials),
        metric=history.metric,
        best=best.score if best else None,
        best_trial=best.request.trial if best else None,
    )


def describe_runs(runs: Sequence[RunOverview | DamagedRun]) -> None:
    """Print a table of runs."""
    print_table(("run", "started", "status", "trials", "best", "trial"), map(_cells, runs))


def _cells(run: RunOverview | DamagedRun) -> tuple[str, ...]:
    if isinstance(run, DamagedRun):
        return (run.run, "", run.status, "", "", "")
    best = "" if run.best is None else f"{run.best:.4f}"
    return (run.run, run.started[:16], run.status, str(run.trials), best, run.best_trial or "")
