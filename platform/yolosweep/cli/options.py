"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.shell_completion import complete_override, complete_run

__all__ = ["AllowCodes", "AsJson", "ExperimentFile", "Overrides", "Run", "Task"]

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE...",
        help="Overrides, e.g. search.trials=8 train.epochs=3.",
        autocompletion=complete_override,
    ),
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or its address (s3://…).", autocompletion=complete_run)
]
AllowCodes = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CODE", help="Waive this error in the data; the waiver is recorded and shown."),
]
Task = Annotated[str | None, typer.Option(help="detect, segment, classify, pose or obb.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
