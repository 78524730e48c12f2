"""Ultralytics' ``results.csv`` as a training: YOLOv5's padded headers, YOLOv8, YOLO11 and YOLO26.

YOLOv5 names and counts differently: ``metrics/mAP_0.5:0.95``, ``test/loss``, epochs from 0. Both are translated.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from yolosweep.diagnosis.observed_training import Training
from yolosweep.errors import UsageError
from yolosweep.records import EpochResult

__all__ = ["training_of"]

_COLUMNS, _ROWS, _NOTES = 500, 20_000, 5
_PREFIXES = ("train/", "val/", "metrics/", "lr/")
_OLD = {
    "metrics/mAP_0.5:0.95": "metrics/mAP50-95",
    "metrics/mAP_0.5": "metrics/mAP50",
    "test/": "val/",
    "x/lr": "lr/pg",
}
"""Beginning of a column's name in YOLOv5 → today's; longer ones first."""
_BOXES = ("metrics/precision", "metrics/recall", "metrics/mAP50", "metrics/mAP50-95")
_SECONDS = "time"


def training_of(text: str, settings: Mapping[str, Any] | None = None) -> Training:
    """Return the training that a ``results.csv`` describes.

    A header that is repeated, a last line that was cut off, and epochs that were trained again after an interruption
    are understood: the latest row of an epoch counts, and an epoch that begins again drops what came after it.

    Args:
        text: the file's content.
        settings: train arguments, where they are known.

    Raises:
        UsageError: it is not such a file, or has no epoch.
    """
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    if not lines:
        raise UsageError("the file is empty; pass the results.csv of an Ultralytics training")
    header, notes = _header(lines[0]), list[str]()
    rows: list[dict[str, float | None]] = []
    for number, line in enumerate(_cells(lines), 2):
        row = _row(header, line)
        if row is None:
            if [cell.strip() for cell in line[:1]] != ["epoch"]:
                notes.append(f"line {number} is not a row of numbers and is left out")
            continue
        if rows and _epoch(row) <= _epoch(rows[-1]):
            notes.append(f"line {number} goes back to epoch {_epoch(row)}; what follows is used")
            while rows and _epoch(row) <= _epoch(rows[-1]):
                rows.pop()
        rows.append(row)
    if not rows:
        raise UsageError("the file has no epoch; pass a results.csv of a training that finished at least one")
    known = dict(settings or {})
    return Training(rows=_results(rows), settings=known, planned_epochs=_planned(known, len(rows)), notes=_few(notes))


def _cells(lines: Sequence[str]) -> list[list[str]]:
    """Return the cells of all lines but the first.

    Raises:
        UsageError: there are too many lines, or they are no table.
    """
    if len(lines) > _ROWS:
        raise UsageError(f"the file has {len(lines)} lines; a results.csv has one per epoch, at most {_ROWS}")
    try:
        return list(csv.reader(io.StringIO("\n".join(lines[1:])), delimiter=_delimiter(lines[0])))
    except csv.Error as error:
        raise UsageError(f"the file is not a table: {error}") from error


def _few(notes: Sequence[str]) -> tuple[str, ...]:
    more = len(notes) - _NOTES
    return (*notes[:_NOTES], f"and {more} more lines like these") if more > 0 else tuple(notes)


def _delimiter(header: str) -> str:
    return ";" if ";" in header and "," not in header else ","


def _header(line: str) -> list[str]:
    """Return today's names of the columns.

    Raises:
        UsageError: the line is not the header of a ``results.csv``.
    """
    names = [name.strip() for name in line.split(_delimiter(line))]
    if "epoch" not in names or not any(name.startswith(("train/", "metrics/")) for name in names):
        raise UsageError(
            "the first line is not the header of an Ultralytics results.csv: it needs a column epoch, and columns "
            "such as train/box_loss or metrics/mAP50(B)"
        )
    if len(names) > _COLUMNS:
        raise UsageError(f"the file has {len(names)} columns; a results.csv has at most {_COLUMNS}")
    return [_translated(name) for name in names]


def _translated(name: str) -> str:
    for old, new in _OLD.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    return f"{name}(B)" if name in _BOXES else name


def _row(header: Sequence[str], cells: Sequence[str]) -> dict[str, float | None] | None:
    """Return a row by column; NaN and infinities as None. None if it is not a complete row of numbers."""
    if len(cells) < len(header):
        return None
    row: dict[str, float | None] = {}
    for name, cell in zip(header, cells, strict=False):
        if not cell.strip():
            continue  # not measured, unlike NaN
        try:
            value = float(cell.replace(",", "."))  # some spreadsheets save decimal commas
        except ValueError:
            if name == "epoch" or name.startswith(_PREFIXES):
                return None
            continue
        row[name] = value if math.isfinite(value) else None
    return row if row.get("epoch") is not None else None


def _epoch(row: Mapping[str, float | None]) -> int:
    return int(row["epoch"] or 0)


def _results(rows: Sequence[Mapping[str, float | None]]) -> tuple[EpochResult, ...]:
    shift = 1 if _epoch(rows[0]) == 0 else 0
    made: list[EpochResult] = []
    before = 0.0
    for row in rows:
        elapsed = row.get(_SECONDS)
        seconds = None if elapsed is None else max(0.0, elapsed - before)
        before = elapsed if elapsed is not None else before
        metrics = {name: value for name, value in row.items() if name.startswith(_PREFIXES)}
        if _not_validated(metrics):
            metrics = {name: value for name, value in metrics.items() if not name.startswith(("val/", "metrics/"))}
        made.append(
            EpochResult(
                epoch=_epoch(row) + shift, metrics=metrics, score=None, best_score=None, best_epoch=None,
                epochs_without_gain=0, seconds=seconds, images_per_s=None,
            )
        )  # fmt: skip
    return _scored(tuple(made))


def _not_validated(metrics: Mapping[str, float | None]) -> bool:
    """Return whether an epoch was not validated (``val=False``): Ultralytics writes zeros then.

    Zeros are measured where the images have no labels; the training's box loss is 0 then, too.
    """
    validated = [value for name, value in metrics.items() if name.startswith(("val/", "metrics/"))]
    trained = [value for name, value in metrics.items() if name in ("train/box_loss", "train/loss")]
    has_losses = any(name.startswith("val/") for name in metrics)
    return has_losses and all(value == 0 for value in validated) and any(trained)


def _scored(rows: tuple[EpochResult, ...]) -> tuple[EpochResult, ...]:
    """Return the rows with the score that stands for their task, as the ledger's rows have it."""
    name = Training(rows=rows).score_name
    return rows if name is None else tuple(r.model_copy(update={"score": r.metrics.get(name)}) for r in rows)


def _planned(settings: Mapping[str, Any], trained: int) -> int | None:
    """Return the planned epochs; a plan that was exceeded is of another training."""
    epochs = settings.get("epochs")
    return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs >= trained else None
