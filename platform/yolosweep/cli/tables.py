"""``yolosweep show`` and ``yolosweep ls``: runs as tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.errors import RunFolderError, UsageError
from yolosweep.ledger import runs_below
from yolosweep.ledger.history import History
from yolosweep.storage.addresses import is_address

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["describe_run", "describe_runs", "runs_in"]

_WIDE = 10_000
"""Characters: more than any table needs."""


def describe_run(told: dict[str, Any]) -> None:
    """Print the trials of a run."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    names = list(dict.fromkeys(name for trial in told["trials"] for name in trial["parameters"]))
    again = any(trial["ran_on"]["retries"] for trial in told["trials"])
    heads = ("trial", "ending", told["metric"], "gain", "epoch", "epochs", "time", *(["starts"] if again else []))
    table = Table(*heads, *names)
    for trial in told["trials"]:
        cells = [
            trial["trial"],
            trial["ending"],
            _number(trial["score"], "{:.4f}"),
            _number(trial["gain"], "{:+.4f}"),
            _number(trial["best_epoch"], "{}"),
            str(trial["epochs"]),
            _number(trial["seconds"], "{:.0f} s"),
            *([str(trial["ran_on"]["retries"] + 1)] if again else []),
            *(_number(trial["parameters"].get(name), "{:.4g}") for name in names),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for trial in told["trials"]:
        if trial["ending"] in ("failed", "oom", "diverged"):
            console.print(f"{trial['trial']} {trial['ending']}: {trial['reason']}", markup=False)
        elif trial["diverged"]:
            console.print(f"{trial['trial']} diverged silently: {trial['diverged']}", markup=False)
    for sentence in told["warnings"]:
        console.print(f"warning: {sentence}", markup=False)
    if told["resumes"]:
        console.print(f"resumed {'once' if len(told['resumes']) == 1 else str(len(told['resumes'])) + ' times'}")


def _console() -> Console:
    """Return where tables go; without a terminal they are as wide as they need to be: nothing is cut in a file."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def _number(value: Any, form: str) -> str:
    if value is None:
        return ""
    return form.format(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def runs_in(storage: str) -> list[dict[str, Any]]:
    """Return the runs of a storage folder, newest first; a damaged one is listed with its fault.

    Raises:
        UsageError: there is no such folder.
        RunFolderError: the object storage cannot be read.
    """
    if not is_address(storage) and not Path(storage).expanduser().is_dir():
        raise UsageError(f"there is no folder {storage}; give the storage: of your experiments")
    found: list[dict[str, Any]] = []
    for folder in runs_below(storage):
        try:
            history = History.of(folder)
        except RunFolderError as error:
            found.append({"run": folder.address, "started": "", "status": "damaged", "fault": str(error)})
            continue
        ranked = history.ranked()
        found.append(
            {
                "run": folder.address,
                "started": history.started.at.isoformat(timespec="milliseconds"),
                "status": history.ended.status if history.ended else "not ended",
                "trials": len(history.trials),
                "metric": history.metric,
                "best": ranked[0].score if ranked else None,
                "best_trial": ranked[0].request.trial if ranked else None,
            }
        )
    return sorted(found, key=lambda run: str(run["started"]), reverse=True)


def describe_runs(runs: list[dict[str, Any]]) -> None:
    """Print runs."""
    from rich.table import Table

    table = Table("run", "started", "status", "trials", "best", "trial", box=None, pad_edge=False)
    for run in runs:
        best = "" if run.get("best") is None else f"{run['best']:.4f}"
        table.add_row(
            run["run"],
            run["started"][:16],
            run["status"],
            str(run.get("trials", "")),
            best,
            run.get("best_trial") or "",
        )
    _console().print(table)
