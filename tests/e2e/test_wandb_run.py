"""Whole sweeps with W&B: the server has what the ledger says, live or pushed later, and the key is stored nowhere."""

from __future__ import annotations

import importlib.util
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from yolosweep.tracking.wandb import WandbSink

_spec = importlib.util.spec_from_file_location("wandb_server", Path(__file__).with_name("wandb_server.py"))
wandb_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wandb_server)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(wandb_server.find() is None, reason=wandb_server.HOW_TO)]

run_id = WandbSink().run_id
KEY = "canary" + "fedcba9876543210" * 3
OVERRIDES = ("search.trials=2", "train.epochs=4", "track={wandb: {project: toys}}", "resources.max_concurrent=1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "server").mkdir()
    server = wandb_server.Server(tmp_path / "server", KEY)
    deadline = time.monotonic() + 300
    while not server.ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield server
    server.stop()


@pytest.fixture
def toy(repository: Path) -> Path:
    return repository / "jobs" / "experiments" / "toy.yaml"


def check_everything_arrived_once(server: Any, sweep: Any) -> None:
    history = sweep.history
    for name, trial in history.trials.items():
        run = run_id(history.sweep, name)
        steps = server.rows("SELECT step FROM metrics WHERE run_id=? AND key='score' ORDER BY step", run)
        assert [row["step"] for row in steps] == [row.epoch for row in trial.rows]
    assert len(server.rows("SELECT run_id FROM runs")) == len(history.trials) + 1
    models = server.rows("SELECT metadata_json FROM artifacts WHERE artifact_type='model'")
    assert len(models) == 1
    assert history.winner.trial in models[0]["metadata_json"]


def test_a_sweep_for_two_objectives_is_mirrored_while_it_runs(shell: Any, toy: Path, server: Any) -> None:
    server.connect()
    environment = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    objectives = "search.objectives=[{metric: metrics/accuracy_top1}, {metric: latency_ms}]"
    sweep = shell.run(toy, *OVERRIDES, objectives, "search.pruner=none", **environment)
    assert "W&B: mirrored to" in sweep.err
    if "warning" in sweep.err:  # so short a sweep may leave more to send than fits into the time after its end
        assert "W&B: not everything arrived in time" in sweep.err
        shell("track", "push", sweep.folder.root, **environment)
    check_everything_arrived_once(server, sweep)
    history = sweep.history
    for name, trial in history.trials.items():
        assert server.summaries[run_id(history.sweep, name)]["latency_ms"] == trial.record.objectives["latency_ms"] > 0
    (whole,) = [summary for summary in server.summaries.values() if "pareto_front" in summary]
    assert whole["pareto_front"] == ", ".join(trial.request.trial for trial in history.front)
    assert whole["rule"] == history.winner.rule
    for file in [*sweep.folder.root.rglob("*"), *shell.home.rglob("*")]:
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.nightly  # a dead server and a later push: contract/test_sink, test_wandb
def test_a_server_that_is_down_costs_one_warning_and_push_sends_the_rest(shell: Any, toy: Path, server: Any) -> None:
    environment = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    sweep = shell.run(toy, *OVERRIDES, **environment)
    assert len([line for line in sweep.err.splitlines() if line.startswith("warning")]) == 1
    assert "yolosweep track push" in sweep.err
    assert sweep.history.ended.status == "finished"
    server.connect()
    shell("track", "push", sweep.folder.root, **environment)
    check_everything_arrived_once(server, sweep)
    before = server.requests
    assert "W&B: 3 runs are complete at" in shell("track", "push", sweep.folder.root, **environment).out
    check_everything_arrived_once(server, sweep)
    assert server.requests == before


@pytest.mark.nightly  # a mirror that outlives its driver: test_wandb
def test_a_sweep_stopped_at_once_leaves_no_mirror_at_a_server_that_is_down(
    shell: Any, toy: Path, server: Any, tmp_path: Path, wait_for: Any
) -> None:
    environment = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    process = shell.start("run", toy, "search.trials=500", "train.epochs=1000", OVERRIDES[2], **environment)
    wait_for(lambda: any(b'"event":"row"' in one.read_bytes() for one in tmp_path.glob("runs/*/ledger.jsonl")))
    mirrors = [one for one in psutil.Process(process.pid).children() if "yolosweep.tracking" in one.cmdline()]
    assert mirrors
    process.send_signal(signal.SIGTERM)
    while "stopping the running trials" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 143, err
    assert not psutil.wait_procs(mirrors, timeout=120)[1]
    assert "yolosweep track push" in err
