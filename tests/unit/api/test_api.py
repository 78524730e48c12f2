"""The Python API on a recorded run and on drawn data: typed values, nothing printed, nothing heavy imported early."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import yolosweep
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.errors import ExperimentError, RunFolderError, TrainingError, UsageError, VerificationError
from yolosweep.experiment import Experiment, Parameter, load_experiment
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.records import Severity
from yolosweep.records.events import Event, Note
from yolosweep.workflows.progress_listener import LogListener

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"
EXPERIMENT = {
    "name": "lot",
    "model": "toy/red",
    "data": "lot/data.yaml",
    "train": {"epochs": 9},
    "search": {"trials": 7, "parameters": {"lr0": {"min": 0.001, "max": 0.1}}},
    "resources": {"gpus_per_trial": 0, "cpus_per_trial": 1},
}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run of version 0.1 with its winner's file in place."""
    folder = tmp_path / "runs" / "toy-20261129-143840-dfb3"
    shutil.copytree(RECORDED, folder)
    for file in folder.rglob("*.pt.txt"):
        file.rename(file.with_suffix(""))
    events = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    winner = next(event["trial"] for event in events if event["event"] == "winner")
    (folder / "winner").mkdir()
    shutil.copy(folder / "trials" / winner / "best.pt", folder / "winner" / "best.pt")
    return folder


@pytest.fixture
def lot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a small data set."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_API_KEY", "RAY_ADDRESS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    draw_parking(tmp_path / "lot", images={"train": 12, "val": 4, "test": 4})
    return tmp_path


@pytest.mark.slow
def test_importing_it_loads_nothing_and_every_name_is_there() -> None:
    code = (
        "import sys, yolosweep\n"
        "print(sorted({'pydantic', 'ray', 'torch', 'ultralytics', 'pandas', 'yolosweep.api'} & set(sys.modules)))\n"
        "assert all(callable(getattr(yolosweep, name)) for name in set(yolosweep.__all__) - {'__version__'})\n"
        "print(sorted({'ray', 'torch', 'ultralytics', 'pandas', 'wandb', 'optuna'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        _ = yolosweep.runs  # type: ignore[attr-defined]


def test_trials_are_a_frame(recorded: Path) -> None:
    sweep = yolosweep.open(recorded)
    frame = sweep.trials
    assert list(frame.index) == ["t0000", "t0001", "t0002"]
    assert list(frame.best_score) == [trial.score for trial in sweep.summary.trials]
    assert {"ending", "epochs", "seconds", "lr0", "batch", "gain_over_defaults"} <= set(frame.columns)
    assert frame.best_score.dtype == np.float64
    assert sweep.summary.best_trial == frame.best_score.idxmax()


def test_the_best_is_the_recorded_winner_with_its_verified_file(recorded: Path) -> None:
    best = yolosweep.open(str(recorded)).best
    assert best.weights == recorded / "winner" / "best.pt"
    assert best.settings["lr0"] == best.winner.settings["lr0"]
    assert best.scores["val"]["metrics/accuracy_top1"] == pytest.approx(best.winner.score, abs=0.01)
    best.weights.write_text("other weights")
    with pytest.raises(VerificationError, match="was changed after the training"):
        _ = yolosweep.open(recorded).best


@pytest.mark.slow
def test_a_winner_with_another_score_is_refused_with_what_changed(recorded: Path) -> None:
    draw_parking(recorded / "data", images={"train": 4, "val": 8, "test": 4})
    for labels in (recorded / "data" / "labels" / "val").glob("*.txt"):
        labels.write_text("".join(f"{1 - int(row[0])}{row[1:]}" for row in labels.read_text().splitlines(True)))
    ledger = recorded / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"yolosweep":"0.1.0"', f'"yolosweep":"{yolosweep.__version__}"'))
    sweep = yolosweep.open(recorded)
    with pytest.raises(VerificationError, match="is not selected: metrics/accuracy_top1 was recorded as") as refused:
        sweep.select_winner()
    assert "changed since the sweep started:" in str(refused.value)
    assert "val had 48 images and has 8" in str(refused.value)
    args = recorded / "trials" / "t0002" / "args.yaml"
    args.write_text(args.read_text().replace("batch: 64", "batch: 32"))
    with pytest.raises(VerificationError, match="batch was 32 in the training and is 64 in the validation"):
        sweep.select_winner()
    ledger.write_text(ledger.read_text().replace('"optuna":"5.0.0"', '"optuna":"4.1"'))
    with pytest.raises(VerificationError, match=r"optuna was 4\.1 and is \d"):
        sweep.select_winner()


def test_without_a_winner_it_says_how_to_get_one(recorded: Path) -> None:
    ledger = recorded / "ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.read_text().splitlines(True) if '"event":"winner"' not in line))
    with pytest.raises(TrainingError, match="select_winner"):
        _ = yolosweep.open(recorded).best


def test_report_and_notebook_view(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = recorded / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("toy-20261129-143840-dfb3", "<img src=x>"))
    sweep = yolosweep.open(recorded)
    assert sweep.report().read_text().startswith("<!doctype html>")
    shown = sweep._repr_html_()
    assert "&lt;img src=x&gt;" in shown
    assert "<img" not in shown
    assert shown.count("<tr>") == 4
    monkeypatch.setattr("yolosweep.workflows.notebook_view._ROWS", 1)
    assert "the best 1 of 3 trials" in sweep._repr_html_()
    assert repr(sweep) == f"Sweep({str(recorded)!r})"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        yolosweep.open(tmp_path)


def test_an_experiment_in_memory_is_that_of_its_file(lot: Path) -> None:
    file = lot / "experiment.yaml"
    file.write_text(json.dumps(EXPERIMENT))
    written = load_experiment(file)
    assert load_experiment(EXPERIMENT) == written
    assert load_experiment(written) == written
    assert load_experiment(Experiment.model_validate(EXPERIMENT)) == written
    space = {"lr0": Parameter(min=0.001, max=0.1)}
    search = {"trials": np.int64(7), "parameters": space}
    assert load_experiment({**EXPERIMENT, "data": Path("lot/data.yaml"), "search": search}) == written


def test_faults_of_an_experiment_in_memory_come_at_once(lot: Path) -> None:
    with pytest.raises(ExperimentError) as caught:
        load_experiment({**EXPERIMENT, "nmae": "x", "search": {**EXPERIMENT["search"], "trials": 0}})  # type: ignore[dict-item]
    assert {fault.key for fault in caught.value.faults} == {"nmae", "search.trials"}
    assert "line" not in str(caught.value)
    with pytest.raises(UsageError, match=r"not plain data.*is a object"):
        load_experiment({**EXPERIMENT, "train": {"epochs": object()}})


@pytest.mark.slow
def test_a_plan_takes_overrides_in_both_forms_and_prints_nothing(
    lot: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    plan = yolosweep.plan(EXPERIMENT, "search.trials=5", train__epochs=4, storage=lot / "mine")
    assert (plan.trials, plan.epochs_per_trial, plan.epochs_at_most) == (5, 4, 20)
    assert plan.experiment["storage"] == str(lot / "mine")
    assert capsys.readouterr() == ("", "")
    assert not (lot / "mine").exists()
    with pytest.raises(UsageError, match=r"data=.*is not plain data"):
        yolosweep.plan(EXPERIMENT, data=object())


@pytest.mark.slow
def test_a_check_and_a_split_are_values(lot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = yolosweep.check(lot / "lot" / "data.yaml", report=lot / "page.html")
    assert found.splits["train"].images == 12
    assert found.is_trainable
    assert found.failing() == ()
    assert (lot / "page.html").is_file()
    warned = found.failing(Severity.WARNING)
    assert [finding.code for finding in warned].count("split-val-small") == 1
    again = yolosweep.check("lot/data.yaml", allow=[finding.code for finding in warned])
    assert again.failing(Severity.WARNING) == ()
    made = yolosweep.split(lot / "lot", lot / "splits", val=0.25, test=0)
    assert sum(made.images.values()) == 20
    assert yolosweep.check(made.data).splits["val"].images == made.images["val"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_check_leaves_the_environment_of_its_process_as_it_was(lot: Path, tmp_path: Path) -> None:
    """What a library puts there when it is imported would reach all programs of the application."""
    code = (
        "import os, sys, threadpoolctl, yolosweep\n"  # threadpoolctl sets a variable of its own
        "before = dict(os.environ)\n"
        "yolosweep.check(sys.argv[1])\n"
        "assert 'cv2' in sys.modules, 'no pair was compared'\n"
        "assert dict(os.environ) == before\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code, str(lot)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_log_gets_messages_and_a_subclass_gets_events(recorded: Path, caplog: pytest.LogCaptureFixture) -> None:
    received: list[Event] = []

    class Mine(LogListener):
        def event(self, event: Event) -> None:
            received.append(event)
            super().event(event)

    folder = RunFolder.open(recorded)
    with caplog.at_level(logging.INFO, logger="yolosweep"):
        listener = Mine()
        with listener.searching(folder, 3, 6):
            ledger = Ledger(folder)
            ledger.append(Note(text="disk is slow"))
            ledger.close()
        listener.warning("node excluded")
    assert [type(event).__name__ for event in received] == ["Note"]
    assert caplog.messages == ["note: disk is slow", "node excluded"]
