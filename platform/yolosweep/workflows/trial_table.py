"""The trials of a sweep as a pandas frame, and as a file that other tools read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.errors import UsageError
from yolosweep.records.summary import Summary
from yolosweep.records.trial_columns import columns_of

if TYPE_CHECKING:
    from pandas import DataFrame, Series

__all__ = ["trial_frame", "write_trials"]


def trial_frame(summary: Summary) -> DataFrame:
    """Return one row per trial, indexed by the trial, with the columns that trackers get."""
    from pandas import DataFrame

    columns = columns_of("tracker", summary.trials, metric=summary.metric)
    rows = [[column.value(trial) for column in columns] for trial in summary.trials]
    return DataFrame(rows, columns=[column.name for column in columns]).set_index("trial")


def write_trials(frame: DataFrame, file: Path) -> Path:
    """Write a frame as CSV or Parquet, by the name of the file, and return its path; lists become JSON texts.

    Raises:
        UsageError: the name ends otherwise, the file cannot be written, or Parquet's library is missing.
    """
    plain = frame.reset_index().map(_as_text)
    try:
        if file.suffix == ".csv":
            plain.to_csv(file, index=False)
        elif file.suffix == ".parquet":
            plain.apply(_of_one_type).to_parquet(file, index=False)
        else:
            raise UsageError(f"{file} must end with .csv or .parquet")
    except ImportError as error:
        raise UsageError(f"{file}: Parquet needs pyarrow; pip install pyarrow, or write a .csv") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror or error}") from error
    return file


def _as_text(value: Any) -> Any:
    return json.dumps(value, default=str) if isinstance(value, (list, tuple, dict)) else value


def _of_one_type(column: Series) -> Series:
    """Return a column as texts where it has values of several types, which a column of Parquet cannot have."""
    types = {float if type(value) is int else type(value) for value in column.dropna()}
    return column.map(str, na_action="ignore") if len(types) > 1 else column
