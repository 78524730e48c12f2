"""The diagnosis of a training's ``results.csv``, or of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolosweep.data.layout.safe_yaml import read_yaml
from yolosweep.diagnosis.all_checks import diagnose_training
from yolosweep.diagnosis.results_csv import training_of
from yolosweep.errors import DataError, UsageError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records.diagnosis import SweepDiagnosis, TrainingDiagnosis
from yolosweep.report.diagnosis_from_ledger import diagnose_sweep, diagnose_trial

__all__ = ["diagnose"]

_LARGEST = 16 << 20
"""Bytes; a row of a results.csv has about 300."""


def diagnose(path: Path | str) -> TrainingDiagnosis | SweepDiagnosis:
    """Return what a training or a sweep shows.

    Args:
        path: a ``results.csv``, the folder of an Ultralytics training, a run folder, or a run's address.

    Raises:
        UsageError: the file cannot be read, or is no ``results.csv``.
        RunFolderError: there is no readable ledger.
    """
    place = Path(path)
    inside = place / "results.csv"
    if place.suffix == ".csv" or inside.is_file():
        return _of_csv(inside if inside.is_file() else place)
    return _of_run(RunFolder.open(path))


def _of_run(folder: RunFolder) -> SweepDiagnosis:
    history = History.of(folder)
    sweep = diagnose_sweep(history)
    return SweepDiagnosis(
        run=folder.address,
        verdict=sweep[0].code if sweep else None,
        sweep=sweep,
        trials={name: diagnose_trial(history, trial) for name, trial in history.trials.items()},
    )


def _of_csv(file: Path) -> TrainingDiagnosis:
    try:
        training = training_of(_text(file), _settings(file.with_name("args.yaml")))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    found, score = diagnose_training(training), training.score
    return TrainingDiagnosis(
        file=str(file),
        verdict=found[0].code if found else None,
        epochs=len(training.rows),
        planned_epochs=training.planned_epochs,
        metric=training.score_name,
        best_score=max(score.values, default=None),
        last_score=score.values[-1] if len(score) else None,
        notes=training.notes,
        diagnoses=found,
    )


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            raise UsageError("there is no such file; pass a results.csv, or the folder of a run")
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"it is over {_LARGEST >> 20} MiB; a results.csv has a line per epoch")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("it is not text (UTF-8)") from error
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror or error}") from error


def _settings(file: Path) -> dict[str, Any]:
    """Return the train arguments beside a ``results.csv``; none where they cannot be read."""
    try:
        return {str(name): value for name, value in read_yaml(file).content.items()} if file.is_file() else {}
    except DataError:
        return {}
