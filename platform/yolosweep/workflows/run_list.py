"""The runs in a storage folder."""

from __future__ import annotations

from pathlib import Path

from yolosweep.errors import RunFolderError, UsageError
from yolosweep.ledger import RunFolder, runs_below
from yolosweep.ledger.history import History
from yolosweep.records.summary import DamagedRun, RunOverview
from yolosweep.report.sweep_summary import headline
from yolosweep.storage.addresses import is_address

__all__ = ["runs_in"]


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
    best = headline(history)
    return RunOverview(
        run=folder.address,
        started=history.started.at.isoformat(timespec="milliseconds"),
        status=history.ended.status if history.ended else "not ended",
        trials=len(history.trials),
        metric=history.metric,
        best=best.score,
        best_trial=best.trial,
    )
