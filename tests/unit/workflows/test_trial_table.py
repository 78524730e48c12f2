"""The trials of a sweep as files of other tools."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame, read_csv

import yolosweep
from yolosweep.errors import UsageError
from yolosweep.workflows.trial_table import write_trials

FIXTURE = Path(__file__).parents[2] / "fixtures" / "run_v1"
ODD = DataFrame(
    {"trial": ["t0000", "t0001"], "scale": [0.5, "auto"], "size": [[96, 64], None], "batch": [4, None]}
).set_index("trial")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_has_the_numbers_of_the_frame(ending: str, tmp_path: Path) -> None:
    sweep = yolosweep.open(FIXTURE)
    file = sweep.save_trials(tmp_path / f"trials{ending}")
    if ending == ".csv":
        found = read_csv(file)
    else:
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
        found = parquet.read_table(file).to_pandas()
    assert found.set_index("trial").to_dict() == sweep.trials.to_dict()


def test_lists_are_json_and_missing_values_are_empty(tmp_path: Path) -> None:
    with write_trials(ODD, tmp_path / "odd.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert json.loads(first["size"]) == [96, 64]
    assert (second["size"], second["scale"], second["batch"]) == ("", "auto", "")


def test_a_column_of_parquet_has_one_type(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    found = parquet.read_table(write_trials(ODD, tmp_path / "odd.parquet")).to_pydict()
    assert found["scale"] == ["0.5", "auto"]
    assert found["batch"][0] == 4


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"must end with \.csv or \.parquet"):
        write_trials(ODD, tmp_path / "odd.xlsx")
    with pytest.raises(UsageError, match="cannot write"):
        write_trials(ODD, tmp_path / "none" / "odd.csv")

    def missing(*arguments: Any, **options: Any) -> None:
        raise ImportError("pyarrow")

    monkeypatch.setattr(DataFrame, "to_parquet", missing)
    with pytest.raises(UsageError, match=r"Parquet needs pyarrow; pip install pyarrow, or write a \.csv"):
        write_trials(ODD, tmp_path / "odd.parquet")
