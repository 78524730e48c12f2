"""A sweep for several objectives through Ray: planned, run, extended and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
]  # CI proves the parts in one process: unit/report/test_trade_offs.py

OBJECTIVES = "search.objectives=[{metric: metrics/accuracy_top1}, {metric: latency_ms}]"
SHORT = ("train.epochs=3", "resources.max_concurrent=1", OBJECTIVES)


def test_it_runs_and_is_extended(shell: Any, repository: Path) -> None:
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    file = shell.cwd / "toy.yaml"
    file.write_text(toy.read_text().replace("  pruner: soft", "  # pruner: soft"))
    assert "latency_ms" in shell("plan", file, "search.trials=3", *SHORT).out
    sweep = shell.run(file, "search.trials=3", *SHORT)
    measured = {name: trial.record.footprint for name, trial in sweep.history.trials.items()}
    assert all(one.latency_ms > 0 for one in measured.values())
    shell("resume", sweep.folder.root, "search.trials=5")
    shown = json.loads(shell("show", sweep.folder.root, "--json").out)
    assert len(shown["trials"]) == 5
    assert shown["front"]
    assert shown["winner"]["trial"] == shown["ranking"][0]
    assert {
        name: trial.record.footprint for name, trial in sweep.history.trials.items() if name in measured
    } == measured
    assert 'id="trade-offs"' in sweep.folder.report.read_text()
