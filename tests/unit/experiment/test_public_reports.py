"""Problems reported in public have an answer before anything starts: refused with the fix, or done as it was meant."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.experiment.public_reports import FROZEN, REPORTS, RESUMED, Report
from typer.testing import CliRunner

from yolosweep.backends.ultralytics.layer_check import freeze_fault
from yolosweep.cli.app import app
from yolosweep.errors import ExperimentError
from yolosweep.experiment import load_experiment, notes

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"


def written(report: Report) -> dict[str, Any]:
    """Return the experiment that a user would write."""
    more = dict(report.more)
    search = {"trials": 4, "parameters": report.space, **more.pop("search", {})}
    base = {"name": "demo", "model": "yolo11n.yaml", "data": "data.yaml"}
    return {**base, "train": report.train, "search": search, **more}


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.where)
def test_a_reported_problem_has_an_answer(report: Report) -> None:
    def further(exp: Any) -> Any:
        return exp.backend.model_faults(exp.model, exp.task)

    if not report.key:
        told = notes(load_experiment(written(report), further=further))
        assert [note for note in told if report.now in note] if report.is_note else not told
        return
    with pytest.raises(ExperimentError) as refused:
        load_experiment(written(report), further=further)
    messages = {fault.key: fault.message for fault in refused.value.faults}
    assert report.now in messages[report.key]


@pytest.mark.parametrize(("where", "when", "about", "freeze", "answer"), FROZEN, ids=[case[0] for case in FROZEN])
def test_a_reported_problem_with_frozen_layers(
    where: str, when: str, about: str, freeze: Any, answer: str | None
) -> None:
    names = [f"model.{layer}.conv.weight" for layer in range(24) if layer not in (11, 12)]
    fault = freeze_fault(freeze, names)
    assert (answer in fault) if answer else fault is None  # type: ignore[operator]


@pytest.mark.parametrize(("where", "when", "about", "asked"), RESUMED, ids=[case[0] for case in RESUMED])
def test_a_reported_problem_with_a_resume(where: str, when: str, about: str, asked: str, tmp_path: Path) -> None:
    folder = tmp_path / "toy-20261129-143840-dfb3"
    shutil.copytree(RECORDED, folder)
    result = CliRunner().invoke(app, ["resume", str(folder), asked])
    assert result.exit_code == 7
    assert f"{asked.partition('=')[0]} was" in result.output
    assert "that is another experiment; start it with yolosweep run" in " ".join(result.output.split())


def test_there_are_twenty_of_them_from_2024_on() -> None:
    every = {report.where.partition(" ")[0]: report.when for report in REPORTS}
    every |= {case[0]: case[1] for case in (*FROZEN, *RESUMED)}
    assert len(every) >= 20
    assert min(every.values()) >= "2024"
