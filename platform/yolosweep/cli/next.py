"""``yolosweep next``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import print_json, print_line, print_text
from yolosweep.cli.options import AsJson, Run

__all__ = ["next_command", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("next")(next_command)


def next_command(
    run_folder: Run,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; standard output if none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the experiment that should follow a run: each change with its evidence, or why to stop sweeping."""
    from yolosweep.ledger import RunFolder
    from yolosweep.workflows.follow_up_experiment import follow_up, write_follow_up

    folder = RunFolder.open(run_folder)
    following = follow_up(folder) if out is None else write_follow_up(folder, out)
    if as_json:
        written = str(out) if out is not None and following.changes else None
        print_json({"file": written, **asdict(following)})
        return
    if out is None or not following.changes:
        print_text(following.text)
        return
    for change in following.changes:
        print_line(f"{change.key}: {change.how}")
    for sentence in following.advice:
        print_line(f"not in the file: {sentence}")
    print_text(f"{out}\n")
