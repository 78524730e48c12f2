"""The whole of it, in short: three nodes locked by a token, a job over HTTP, a machine that dies, a verified winner."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from yolosweep.ledger import RunFolder, read_events
from yolosweep.ledger.history import History

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

SHORT = ("search.trials=3", "search.pruner=none", "train.epochs=4", "train.imgsz=64", "resources.max_concurrent=2")


def test_a_job_on_three_nodes_survives_the_loss_of_one(
    shell: Any,
    start_cluster: Any,
    free_ports: Any,
    repository: Path,
    tmp_path: Path,
    wait_for: Any,
    namespaces: None,
) -> None:
    token = tmp_path / "token"
    shell("token", "--out", token)
    assert token.stat().st_mode & 0o777 == 0o600
    dashboard, agent, client = free_ports(3)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    lock = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PATH": path}
    ports = (f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}")
    cluster = start_cluster(
        "--num-cpus=0", "--include-dashboard=true", *ports, f"--ray-client-server-port={client}", **lock
    )
    workers = [
        cluster.join("--num-cpus=1", f"--dashboard-agent-listen-port={port}", alone=True, **lock)
        for port in free_ports(2)
    ]

    storage, address = tmp_path / "storage", f"http://127.0.0.1:{dashboard}"
    quickstart = repository / "jobs" / "experiments" / "quickstart.yaml"
    process = shell.start("submit", quickstart, *SHORT, f"storage={storage}", "--json", "--address", address, **lock)
    try:
        run = RunFolder(wait_for(lambda: next((one.parent for one in storage.glob("*/ledger.jsonl")), None)))
        # One place on each worker: both train.
        wait_for(lambda: len([t for t in History.of(run).trials.values() if t.rows]) == 2)
        cluster.kill(workers[1])
        out, err = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    told = json.loads(out)
    assert (told["status"], told["exit_code"], told["run"]) == ("SUCCEEDED", 0, str(run.root))

    history = History.of(run)
    assert [trial.record.ending.value for trial in history.trials.values()] == ["finished"] * 3
    for trial in history.trials.values():
        assert [row.epoch for row in trial.rows] == [1, 2, 3, 4]
    lost = [event for event in read_events(run.ledger) if event.event == "trial_resumed"]
    assert [event.cause for event in lost] == ["infra"]
    before = [e.row.epoch for e in read_events(run.ledger) if e.event == "row" and e.trial == lost[0].trial]
    assert len(before) - len(set(before)) <= 1  # at most one epoch was trained twice
    assert history.winner is not None
    assert (run.winner / "best.pt").is_file()
    assert token.read_text().strip() not in run.ledger.read_text() + out + err
