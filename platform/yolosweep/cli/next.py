"""``yolosweep next``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import print_line, print_text
from yolosweep.cli.options import Run
from yolosweep.errors import UsageError

if TYPE_CHECKING:
    from yolosweep.ledger.history import History

__all__ = ["next_command", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("next")(next_command)


def next_command(
    run_folder: Run,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; standard output if none.")] = None,
) -> None:
    """Write the experiment that should follow a run: each change with its evidence, or why to stop sweeping."""
    from yolosweep.ledger import RunFolder
    from yolosweep.ledger.history import History

    if out is not None and out.exists():
        raise UsageError(f"{out} exists and is not overwritten; choose another with --out")
    folder = RunFolder.open(run_folder)
    text, is_experiment = _answer(History.of(folder), folder.named)
    if out is None or not is_experiment:
        print_text(text)
        return
    from yolosweep.storage.atomic_files import write_atomic

    try:
        write_atomic(out.absolute(), text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}; choose another with --out") from error
    for line in (line.strip() for line in text.splitlines()[1:]):
        if line.startswith("#"):
            print_line(line)
    print_text(f"{out}\n")


def _answer(history: History, run: str) -> tuple[str, bool]:
    """Return an experiment, or comments that say why there is none."""
    from yolosweep.experiment.next_experiment import next_experiment
    from yolosweep.report.sweep_diagnosis import diagnose_sweep

    found = diagnose_sweep(history)
    stop = next((diagnosis for diagnosis in found if diagnosis.code == "label-more"), None)
    if stop is not None:
        return _comments([stop.sentence, *(change.how for change in stop.changes)]), False
    changes = [change for diagnosis in found for change in diagnosis.changes]
    following = next_experiment(history.experiment, changes, title=f"Follows {history.sweep}; changes have comments.")
    if following.changes:
        return following.text, True
    sentences = [
        "No change of the experiment is supported by evidence yet.",
        *(f"{change.key}: {change.how}" for change in following.advice),
        f"For more evidence, add trials: yolosweep resume {run} search.trials={2 * len(history.trials)}",
    ]
    return _comments(sentences), False


def _comments(sentences: list[str]) -> str:
    from yolosweep.experiment.next_experiment import one_line

    return "".join(f"# {one_line(sentence)}\n" for sentence in sentences)
