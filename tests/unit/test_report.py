"""The report's numbers, and that nothing in a run can become code in the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from yolosweep.history import History
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.records import Ending, EpochRow, TrialRecord, TrialRequest
from yolosweep.report import summary, write_report

METRIC = "metrics/mAP50-95(B)"
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
SPACE = {
    "lr0": {"min": 1e-4, "max": 1e-1, "distribution": "log_uniform_values"},
    "batch": {"values": [4, 8]},
    "mosaic": {"min": 0.0, "max": 1.0},
}


def write_run(
    tmp_path: Path,
    *trials: tuple[list[float | None], Ending | None],
    mode: str = "max",
    name: str = "a car",
    **more: Any,
) -> RunFolder:
    """Write a run whose trials have these scores per epoch; an ending of None is still running."""
    folder = RunFolder.create(tmp_path, "report")
    ledger = Ledger(folder)
    experiment = {
        "name": "report", "task": "detect", "model": "yolo11n.yaml", "train": {"epochs": 3},
        "search": {"metric": METRIC, "mode": mode, "parameters": SPACE},
    }  # fmt: skip
    ledger.append(
        "sweep_started", sweep=folder.sweep, experiment=experiment, versions={"ray": "2.60"}, notes=["odd " + name],
        dataset={
            "source": "/d/" + name, "names": {"0": name}, "images": {"train": 9, "val": 3}, "fingerprint": "f" * 64,
        },
    )  # fmt: skip
    for number, (scores, ending) in enumerate(trials):
        trial = f"t{number:04d}"
        asked = {"lr0": 10.0 ** -(1 + number % 4), "batch": 4 + 4 * (number % 2), "mosaic": (number % 10) / 10}
        request = TrialRequest(
            sweep=folder.sweep, trial=trial, number=number, task="detect", model="m", data="d", asked=asked,
            settings={"epochs": 3, **asked}, identity=str(number), metric=METRIC, mode=mode, folder=str(folder.root),
        )  # fmt: skip
        ledger.append("trial_started", request=request.model_dump(mode="json"))
        known = []
        for epoch, score in enumerate(scores, 1):
            known += [score] if score is not None else []
            best = (max(known) if mode == "max" else min(known)) if known else None
            row = EpochRow(
                epoch=epoch, metrics={METRIC: score}, score=score, best_score=best, best_epoch=epoch,
                epochs_without_gain=0, seconds=2.0, images_per_s=9,
            )  # fmt: skip
            ledger.append("row", trial=trial, row=row.model_dump(mode="json"))
        if ending is not None:
            record = TrialRecord(
                trial=trial, number=number, ending=ending, reason="because " + name, asked=asked,
                used={**asked, "batch": 4}, score=best if scores else None, epochs=len(scores),
                seconds=2.0 * len(scores),
                notes=(name,),
            )  # fmt: skip
            ledger.append("trial_ended", record=record.model_dump(mode="json"))
    for event, payload in more.items():
        ledger.append(event, **payload)
    ledger.close()
    return folder


def told(folder: RunFolder) -> dict[str, Any]:
    return summary(History.of(folder))


def test_the_gain_is_over_trial_0_and_every_trial_is_there(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, ([0.1, 0.4], Ending.FINISHED), ([0.5, 0.3], Ending.PRUNED), ([], Ending.FAILED), ([0.2], None)
    )
    numbers = told(folder)
    assert (numbers["best_trial"], numbers["best_score"], numbers["baseline_score"]) == ("t0001", 0.5, 0.4)
    assert numbers["gain"] == pytest.approx(0.1)
    assert numbers["gain_percent"] == 25.0
    assert numbers["endings"] == {"finished": 1, "pruned": 1, "failed": 1, "running": 1}
    assert numbers["epochs"] == 5
    assert numbers["seconds"] == 10.0
    assert [trial["gain"] for trial in numbers["trials"]] == [0.0, pytest.approx(0.1), None, pytest.approx(-0.2)]
    assert numbers["trials"][1]["parameters"]["batch"] == 4  # as used, not the 8 that was asked for
    assert "better than the defaults" in numbers["verdict"]
    assert sum(line["epochs"] for line in numbers["cost"]) == 5


def test_less_is_better_in_mode_min(tmp_path: Path) -> None:
    numbers = told(write_run(tmp_path, ([0.9], Ending.FINISHED), ([0.7], Ending.FINISHED), mode="min"))
    assert numbers["best_trial"] == "t0001"
    assert numbers["gain"] == pytest.approx(0.2)


def test_keep_the_defaults_is_a_verdict(tmp_path: Path) -> None:
    numbers = told(write_run(tmp_path, ([0.9], Ending.FINISHED), ([0.7], Ending.FINISHED)))
    assert numbers["verdict"].startswith("Keep the defaults")


def test_without_a_score_nothing_is_claimed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([None, None], Ending.DIVERGED), ([], Ending.OOM))
    numbers = told(folder)
    assert numbers["best_trial"] is None
    assert numbers["gain"] is None
    assert numbers["verdict"] == "No trial gave a score."
    assert write_report(folder).is_file()


def test_defaults_without_a_score_leave_the_gain_open(tmp_path: Path) -> None:
    numbers = told(write_run(tmp_path, ([None], Ending.DIVERGED), ([0.7], Ending.FINISHED)))
    assert numbers["gain"] is None
    assert numbers["best_trial"] == "t0001"


def test_the_page_shows_these_numbers(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, ([0.1, 0.4], Ending.FINISHED), ([0.5, 0.3], Ending.PRUNED), note={"text": "batch was lowered"}
    )
    page = write_report(folder).read_text()
    for shown in ("0.5000", "+0.1000", "batch was lowered", "2.60", "9 train, 3 val"):
        assert shown in page
    assert len(page) < 6_000_000


def test_nothing_in_a_run_becomes_markup_or_code(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.1], Ending.FAILED), name=HOSTILE, note={"text": HOSTILE, "trial": "t0000"})
    page = write_report(folder).read_text()
    plotly = max(page.split("<script>"), key=len)
    own = page.replace(plotly, "")
    assert "<img src=x" not in own
    assert own.count("<script>") == 2
    assert "&lt;/script&gt;" in own


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, ([0.1], Ending.FINISHED))).read_text()
    plotly = max(page.split("<script>"), key=len)
    own = page.replace(plotly, "")
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", own)
    assert "default-src 'none'" in own
    figures = re.search(r'id="figures">(.*?)</script>', own, re.DOTALL)
    assert set(json.loads(figures[1])) == {"curves", "parallel", "scatter-0", "scatter-1", "scatter-2"}
