"""What a plan tells before anything is done."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.data.samples.parking_dataset import draw_parking

runner = CliRunner()
KEYS = (
    "experiment", "data", "model", "trials", "final_trainings", "finals", "first_trial", "epochs_per_trial",
    "epochs_at_most", "rungs", "concurrent", "seconds_per_epoch", "hours_at_most", "trainings", "disk_mb", "memory_mb",
    "tracking", "notes", "cost", "objectives",
)  # fmt: skip
"""The keys of ``plan --json`` in order: scripts rely on those of release 0.1, which end with ``cost``."""
TRACKED = "track={wandb: {project: lot}}"


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC", "WANDB_MODE", "RAY_ADDRESS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    draw_parking(tmp_path / "lot", images={"train": 12, "val": 4, "test": 4})
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "name: lot\nmodel: toy/red\ndata: lot/data.yaml\nstorage: ./mine\ntrain: {epochs: 9}\n"
        "search: {trials: 7, grace_epochs: 2, parameters: {lr0: {min: 0.001, max: 0.1}, batch: {values: [4, 8]}}}\n"
        "resources: {gpus_per_trial: 0, cpus_per_trial: 1, max_concurrent: 1}\n"
    )
    return file


@pytest.mark.slow
def test_it_tells_what_is_run_where_and_at_what_cost(experiment: Path) -> None:
    done = runner.invoke(app, ["plan", str(experiment), TRACKED])
    assert done.exit_code == 0, done.output
    lines = {line[:11].strip(): line[11:] for line in done.stdout.splitlines()}
    assert lines["search"] == "gp, max metrics/accuracy_top1, 7 trials, the defaults first"
    assert lines["trial 0"] == "lr0=0.01, batch=8"
    assert (
        lines["pruning"]
        == "soft: stops trials with hardly any chance to be among the best, as forecast from their curves"
    )
    assert lines["cost"].startswith("at most 63 epochs (9 a trial)")
    assert lines["estimate"].startswith("a rough model of an average CPU; may be off by a factor of 3")
    assert lines["runs in"] == "./mine, 1 at a time"
    assert lines["mirror"].startswith("W&B: off, no API key")
    assert "(12 train, 4 val, 4 test; 2 classes)" in lines["data"]
    assert not (experiment.parent / "mine").exists()


@pytest.mark.slow
def test_with_a_time_budget_the_cost_of_a_trial_is_told(experiment: Path) -> None:
    text = experiment.read_text().replace("trials: 7", "time_budget: 8h")
    experiment.write_text(text)
    done = runner.invoke(app, ["plan", str(experiment)])
    assert done.exit_code == 0, done.output
    assert "as many epochs as fit (9 a trial), up to about 0 s (0 s) per trial" in done.stdout
    forecast = r"as many trials as the budget allows, about as much as [0-9.e+]+ whole trainings of the defaults, "
    assert re.search(forecast, done.stdout)


@pytest.mark.slow
def test_batches_are_measured_where_that_is_asked_for(experiment: Path) -> None:
    done = runner.invoke(app, ["plan", str(experiment), "--measure", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["cost"]
    assert (found["basis"], found["factor"], found["gpu_memory_mb"]) == ("measured", 1.5, None)
    assert found["epoch_seconds"] > 0
    assert found["memory_mb"] > 10
    assert not (experiment.parent / "mine").exists()


@pytest.mark.slow
def test_trials_that_need_more_memory_than_this_machine_has_are_told(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "memory:" not in runner.invoke(app, ["plan", str(experiment)]).stdout
    monkeypatch.setattr("yolosweep.workflows.sweep_plan.usable_memory", lambda: 100 << 20)
    done = runner.invoke(app, ["plan", str(experiment)])
    assert done.exit_code == 0
    assert "note       memory: a trial takes about 150 MiB, this machine has 100 MiB: lower train.batch" in done.stdout


@pytest.mark.slow
def test_the_rungs_of_a_pruner_are_shown(experiment: Path) -> None:
    done = runner.invoke(app, ["plan", str(experiment), "search.pruner=asha"])
    assert "asha: the best 1/3 continue after epochs 2, 6" in done.stdout


@pytest.mark.slow
def test_as_json_it_is_the_same(experiment: Path) -> None:
    plan = json.loads(runner.invoke(app, ["plan", str(experiment), "--json"]).stdout)
    assert (plan["trials"], plan["epochs_at_most"], plan["concurrent"], plan["tracking"]) == (7, 63, 1, "")
    assert plan["first_trial"] == {"lr0": 0.01, "batch": 8}
    assert plan["experiment"]["search"]["metric"] == "metrics/accuracy_top1"
    assert tuple(plan) == KEYS


@pytest.mark.slow
def test_a_mirror_that_must_be_online_needs_a_key_before_anything_starts(experiment: Path) -> None:
    done = runner.invoke(app, ["plan", str(experiment), TRACKED.replace("lot", "lot, mode: online")])
    assert done.exit_code == 2
    assert "run `wandb login`" in done.stderr


def test_a_cluster_is_joined_where_one_is_named_or_a_session_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from yolosweep.runtime.tune_adapter import joins_cluster, named_cluster

    assert [named_cluster({"RAY_ADDRESS": word}) for word in ("local", "", "head:6379")] == [None, None, "head:6379"]
    assert named_cluster({}) is None
    assert joins_cluster({"RAY_ADDRESS": "head:6379"})
    assert not joins_cluster({})
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert joins_cluster({})


@pytest.mark.slow
def test_a_budget_in_trainings_of_the_defaults_is_forecast(experiment: Path) -> None:
    text = experiment.read_text().replace("trials: 7", "budget: 4x")
    experiment.write_text(text)
    done = runner.invoke(app, ["plan", str(experiment)])
    assert done.exit_code == 0, done.output
    assert "as the budget allows, as much as 4 whole trainings of the defaults, the defaults first" in done.stdout
    found = json.loads(runner.invoke(app, ["plan", str(experiment), "--json"]).stdout)
    assert found["trainings"] == 4
    assert found["hours_at_most"] == round(4 * 9 * found["cost"]["epoch_seconds"] / 3600, 3)
    assert found["experiment"]["search"]["budget"] == "4x"


@pytest.mark.slow
def test_gpus_that_this_machine_has_not_are_named_before_ray_starts(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("yolosweep.workflows.sweep_run.connected", lambda: pytest.fail("Ray was started"))
    named = "no GPU is found: set resources.gpus_per_trial=0 to train on the CPU"
    typed = [str(experiment), "resources.gpus_per_trial=1", f"storage={tmp_path / 'runs'}"]
    done = runner.invoke(app, ["plan", *typed])
    assert done.exit_code == 0
    assert named in done.stdout
    done = runner.invoke(app, ["run", *typed])
    assert done.exit_code == 6
    assert named in done.stderr
    assert not list((tmp_path / "runs").iterdir())
