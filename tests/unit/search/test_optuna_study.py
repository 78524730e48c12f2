"""A sweep as an Optuna study: what Optuna reads back is what the ledger holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending
from yolosweep.search.optuna_export import write_study
from yolosweep.workflows.study_export import export_study


@pytest.fixture
def history(repository: Path) -> History:
    return History.of(RunFolder(repository / "tests" / "fixtures" / "run_v1"))


def load(path: Path, history: History) -> optuna.Study:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name=history.sweep, storage=storage)


def test_optuna_reads_the_trials_of_the_ledger(history: History, tmp_path: Path) -> None:
    write_study(history, tmp_path / "study.journal")
    study = load(tmp_path / "study.journal", history)
    assert (study.direction.name, study.metric_names) == ("MAXIMIZE", [history.metric])
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    best = history.ranked()[0]
    assert (study.best_trial.user_attrs["trial"], study.best_value) == (best.request.trial, best.score)
    for trial, ours in zip(study.trials, history.trials.values(), strict=True):
        assert ours.record is not None
        assert trial.number == ours.request.number
        assert trial.params == {name: ours.record.used[name] for name in ours.request.asked}
        assert trial.intermediate_values == {row.epoch: row.score for row in ours.rows}
        assert trial.user_attrs["ending"] == ours.status
        assert trial.user_attrs["metrics/accuracy_top1"] == ours.rows[-1].metrics["metrics/accuracy_top1"]
        assert trial.duration is not None
        assert trial.duration.total_seconds() == pytest.approx(ours.record.seconds, abs=1e-5)


def test_running_and_failed_trials_and_odd_values(history: History, tmp_path: Path) -> None:
    running, failed, lowered = history.trials.values()
    running.record = None
    assert failed.record is not None
    assert lowered.record is not None
    failed.record = failed.record.model_copy(update={"ending": Ending.OOM})
    parameters = {"lr0": {"min": 0.1, "max": 0.2}, "batch": {"values": [8, 16]}, "mix": {"values": [[1], None, "a"]}}
    history.started.experiment["search"]["parameters"] = {**parameters, "new": {"from": "a later version"}}
    used = {"lr0": "text", "batch": 4, "mix": [1]}
    lowered.record = lowered.record.model_copy(update={"used": used})
    write_study(history, tmp_path / "study.journal")
    first, second, third = load(tmp_path / "study.journal", history).trials
    assert [first.state, second.state, third.state] == [TrialState.RUNNING, TrialState.FAIL, TrialState.COMPLETE]
    assert third.params == {"mix": "[1]"}
    assert {name: third.user_attrs[f"used/{name}"] for name in used} == {**used, "mix": "[1]"}
    assert third.distributions["mix"] == optuna.distributions.CategoricalDistribution(["[1]", None, "a"])


def test_the_export_replaces_the_earlier_one(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "tests" / "fixtures" / "run_v1", tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert export_study(folder) == export_study(folder) == tmp_path / "run" / "study.journal"
    assert len(load(folder.study, History.of(folder)).trials) == 3
    assert not list(tmp_path.glob("run/*.lock"))
