"""``yolosweep diagnose``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import emit, print_line, wrapped
from yolosweep.cli.options import AsJson

if TYPE_CHECKING:
    from yolosweep.records.diagnosis import Diagnosis, SweepDiagnosis, TrainingDiagnosis

__all__ = ["diagnose", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diagnose)


def diagnose(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A results.csv, or a run folder or its address.")],
    as_json: AsJson = False,
) -> None:
    """Say what curves show: overfitting, stopped too soon, diverged and more, with the evidence and what to change."""
    from yolosweep import api

    emit(api.diagnose(path), as_json, _describe)


def _describe(result: TrainingDiagnosis | SweepDiagnosis) -> None:
    from yolosweep.records.diagnosis import TrainingDiagnosis

    if isinstance(result, TrainingDiagnosis):
        best = "" if result.best_score is None else f", best {result.metric} {result.best_score:.4g}"
        print_line(f"{result.file}: {result.epochs} epoch{'' if result.epochs == 1 else 's'}{best}")
        for note in result.notes:
            print_line(f"note: {note}")
        _describe_all(result.diagnoses)
        return
    print_line(result.run)
    _describe_all(result.sweep)
    for name, found in result.trials.items():
        sentence = found[0].sentence if found else "No verdict: it was stopped early, or has no score."
        print_line(f"{name}  {sentence}")


def _describe_all(found: Sequence[Diagnosis]) -> None:
    if not found:
        print_line("No verdict: no epoch with a score.")
    for diagnosis in found:
        trial = f"{diagnosis.trial}: " if diagnosis.trial else ""
        print_line(wrapped(f"{trial}{diagnosis.sentence} ({diagnosis.confidence.value} confidence)"), style="bold")
        for change in diagnosis.changes:
            print_line(f"  {change.line}  # {change.how}")
