"""``yolosweep import``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import notify, print_json, print_line, print_text
from yolosweep.cli.options import AsJson, Task

if TYPE_CHECKING:
    from yolosweep.experiment.imports.file_import import Imported

__all__ = ["import_experiment", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_experiment)


def import_experiment(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A W&B sweep, a space or results of model.tune, or an args.yaml."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("experiment.yaml"),
    data: Annotated[str | None, typer.Option(help="Data set, where the file names none or another.")] = None,
    model: Annotated[str | None, typer.Option(help="Model, where the file names none or another.")] = None,
    task: Task = None,
    as_json: AsJson = False,
) -> None:
    """Write an experiment from a file of W&B or Ultralytics, with a comment on everything that was dropped or changed.

    Folders of Ultralytics' tuner are read, too: tune_results.ndjson, tune_results.csv, best_hyperparameters.yaml.
    """
    from yolosweep.workflows.experiment_import import import_experiment as write

    made = write(source, out=out, data=data, model=model, task=task)
    if as_json:
        remarks = [{"key": remark.key, "text": remark.text} for remark in made.remarks]
        print_json({"file": str(out), "kind": made.kind, "remarks": remarks})
        return
    _describe(made)
    print_text(f"{out}\n")
    notify(f"next: yolosweep plan {shlex.quote(str(out))}")


def _describe(made: Imported) -> None:
    for remark in made.remarks:
        print_line(f"{remark.key}: {remark.text}" if remark.key else remark.text)
