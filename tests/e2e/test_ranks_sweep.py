"""Trials of two ranks through the real command, and what Ray grants is what a trial uses."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from yolosweep.history import History
from yolosweep.ledger import RunFolder, read_events
from yolosweep.records import Ending

pytestmark = pytest.mark.slow

TWO_RANKS = """
name: ranks
task: detect
model: yolo11n.yaml
data: sample:parking
train: {epochs: 4, imgsz: 64, batch: 16, nbs: 16, optimizer: AdamW, fraction: 0.2, warmup_epochs: 1}
search:
  trials: 2
  pruner: none
  parameters: {lr0: {min: 0.001, max: 0.01}}
resources: {workers: 2, gpus_per_trial: 0, cpus_per_trial: 2, max_concurrent: 1}
"""


def curves(history: History) -> list[Any]:
    return [(t.request.asked, [(row.epoch, row.metrics) for row in t.rows]) for t in history.trials.values()]


def test_trials_of_two_ranks_take_turns_and_survive_the_loss_of_one(shell: Any, tmp_path: Path, wait_for: Any) -> None:
    experiment = tmp_path / "ranks.yaml"
    experiment.write_text(TWO_RANKS)
    undisturbed = shell.run(experiment).history
    assert [trial.record.ending for trial in undisturbed.trials.values()] == [Ending.FINISHED] * 2
    assert {trial.record.world_size for trial in undisturbed.trials.values()} == {2}

    before = set(tmp_path.glob("runs/*/"))
    process = shell.start("run", experiment, "--json")

    def folder() -> RunFolder | None:
        found = [path for path in set(tmp_path.glob("runs/*/")) - before if (path / "ledger.jsonl").exists()]
        return RunFolder(found[0]) if found else None

    def second_rank() -> psutil.Process | None:
        run = folder()
        if run is None or sum(event["event"] == "row" for event in read_events(run.ledger)) < 2:
            return None
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.is_running() and "ray::_Rank.train" in " ".join(child.cmdline()):
                return child
        return None

    wait_for(lambda: process.poll() is not None or second_rank()).kill()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    history = History.of(folder())
    assert [trial.record.ending for trial in history.trials.values()] == [Ending.FINISHED] * 2
    assert sum(trial.record.retries for trial in history.trials.values()) == 1
    assert curves(history) == curves(undisturbed)


RANKS_OF_TWO_GPUS = """
import os, ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from yolosweep.experiment.schema import Resources
from yolosweep.search.cluster_resources import allot
from yolosweep.search.rank_group import granted_gpus
from yolosweep.search.ray_tune import connected, placement

@ray.remote(num_cpus=1, num_gpus=1)
def rank():
    return [*granted_gpus(), os.environ["CUDA_VISIBLE_DEVICES"]]

with connected() as cluster:
    slots = allot(Resources(gpus_per_trial=2.0, cpus_per_trial=2.0), cluster.nodes, 4)
    assert (slots.world_size, slots.concurrent) == (2, 1)
    group = placement(slots).to_placement_group()
    ray.get(group.ready())
    where = [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index) for index in (0, 1)]
    print(sorted(ray.get([rank.options(scheduling_strategy=place).remote() for place in where])))
"""


@pytest.fixture
def two_gpus(home: Path) -> Iterator[dict[str, str]]:
    """A Ray of its own that was told of two GPUs; nothing looks for them."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "CUDA"))}
    environment = {**kept, "HOME": str(home), "RAY_AUTH_MODE": "disabled"}
    place = tempfile.mkdtemp(prefix="ray")  # short: sockets lie in it
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=0", f"--temp-dir={place}"]
    try:
        started = subprocess.run(
            [*ray, "--num-gpus=2", "--num-cpus=4", "--include-dashboard=false"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"--address='([^']+)'", started.stdout)
        assert found, started.stdout
        yield {"RAY_ADDRESS": found[1], "RAY_AUTH_MODE": "disabled"}
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if place in " ".join(process.info["cmdline"] or []):
                process.kill()
        shutil.rmtree(place, ignore_errors=True)


def test_the_gpus_a_trial_was_granted_are_the_ones_it_has(shell: Any, repository: Path, two_gpus: Any) -> None:
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    fixed = (
        "search.trials=4",
        "train.epochs=60",
        "train.patience=0",
        "search.pruner=none",
        "resources.cpus_per_trial=1",
    )
    halves = shell.run(toy, *fixed, "resources.gpus_per_trial=0.5", **two_gpus).history
    assert halves.started["slots"]["concurrent"] == 4
    assert sorted(trial.record.gpus[0] for trial in halves.trials.values()) == ["0", "0", "1", "1"]
    whole = shell.run(toy, *fixed, "resources.gpus_per_trial=1", **two_gpus).history
    assert whole.started["slots"]["concurrent"] == 2
    assert {trial.record.gpus for trial in whole.trials.values()} == {("0",), ("1",)}
    ranks = subprocess.run(
        [sys.executable, "-c", RANKS_OF_TWO_GPUS], env=shell.environment(**two_gpus), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert ranks.stdout.splitlines()[-1] == "[['0', '0'], ['1', '1']]"
