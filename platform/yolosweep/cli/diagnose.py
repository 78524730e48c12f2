"""``yolosweep diagnose``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolosweep.cli.console import emit, print_line
from yolosweep.cli.options import AsJson
from yolosweep.errors import UsageError

if TYPE_CHECKING:
    from yolosweep.diagnosis.training import Training
    from yolosweep.records.diagnosis import Diagnosis

__all__ = ["describe_diagnoses", "diagnose", "register"]

_LARGEST = 16 << 20
"""Bytes; 16 MiB hold 50,000 epochs."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diagnose)


def diagnose(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A results.csv, or a run folder or its address.")],
    as_json: AsJson = False,
) -> None:
    """Say what curves show: overfitting, stopped too soon, diverged and more, with the evidence and what to change."""
    if _is_csv(path):
        emit(_of_csv(Path(path)), as_json, _describe_training)
    else:
        emit(_of_run(path), as_json, _describe_run)


def _is_csv(path: str) -> bool:
    return Path(path).suffix == ".csv" or (Path(path) / "results.csv").is_file()


def _of_csv(path: Path) -> dict[str, Any]:
    """Return the diagnoses of one training; the folder of an Ultralytics training stands for its results.csv.

    Raises:
        UsageError: the file cannot be read, or is no results.csv.
    """
    from yolosweep.diagnosis.results_csv import training_of
    from yolosweep.diagnosis.table import diagnose_training

    file = path / "results.csv" if path.is_dir() else path
    try:
        training = training_of(_text(file), _settings(file.with_name("args.yaml")))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    found = diagnose_training(training)
    return {"file": str(file), "verdict": _verdict(found), "training": _facts(training), "diagnoses": found}


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            raise UsageError("there is no such file; pass a results.csv, or the folder of a run")
        if file.stat().st_size > _LARGEST:
            raise UsageError("it is over 16 MiB; a results.csv has a line per epoch")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("it is not text (UTF-8)") from error
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror or error}") from error


def _settings(file: Path) -> dict[str, Any]:
    """Return the train arguments beside a results.csv; nothing where they cannot be read."""
    from yolosweep.data.layout.safe_yaml import read_yaml
    from yolosweep.errors import DataError

    try:
        return {str(name): value for name, value in read_yaml(file).content.items()} if file.is_file() else {}
    except DataError:
        return {}


def _facts(training: Training) -> dict[str, Any]:
    score = training.score
    return {
        "epochs": len(training.rows),
        "planned_epochs": training.planned_epochs,
        "metric": training.score_name,
        "best_score": max(score.values, default=None),
        "last_score": score.values[-1] if len(score) else None,
        "notes": training.notes,
    }


def _of_run(path: str) -> dict[str, Any]:
    """Return the diagnoses of a sweep and of each of its trials.

    Raises:
        RunFolderError: there is no readable ledger.
    """
    from yolosweep.ledger import RunFolder
    from yolosweep.ledger.history import History
    from yolosweep.report.sweep_diagnosis import diagnose_sweep, diagnose_trial

    folder = RunFolder.open(path)
    history = History.of(folder)
    sweep = diagnose_sweep(history)
    trials = {name: diagnose_trial(history, trial) for name, trial in history.trials.items()}
    return {"run": folder.address, "verdict": _verdict(sweep), "sweep": sweep, "trials": trials}


def _verdict(found: Sequence[Diagnosis]) -> str | None:
    return found[0].code if found else None


def _describe_training(result: dict[str, Any]) -> None:
    facts = result["training"]
    best = "" if facts["best_score"] is None else f", best {facts['metric']} {facts['best_score']:.4g}"
    print_line(f"{result['file']}: {facts['epochs']} epochs{best}")
    for note in facts["notes"]:
        print_line(f"note: {note}")
    describe_diagnoses(result["diagnoses"])


def _describe_run(result: dict[str, Any]) -> None:
    print_line(result["run"], style="bold")
    describe_diagnoses(result["sweep"])
    for name, found in result["trials"].items():
        sentence = found[0].sentence if found else "No verdict: it was stopped early, or has no score."
        print_line(f"{name}  {sentence}")


def describe_diagnoses(found: Sequence[Diagnosis]) -> None:
    """Print diagnoses for people, each with what to change."""
    if not found:
        print_line("nothing to diagnose: no epoch with a score")
    for diagnosis in found:
        trial = f"{diagnosis.trial}: " if diagnosis.trial else ""
        print_line(f"{trial}{diagnosis.sentence} ({diagnosis.confidence.value} confidence)", style="bold")
        for change in diagnosis.changes:
            value = "" if change.value is None else f": {_written(change.value)}"
            print_line(f"  {change.key}{value}  # {change.how}")


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {item}" for name, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
