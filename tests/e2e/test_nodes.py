"""Nodes of a cluster on this machine: checked before they train, excluded, joining late, dying."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tools.python_path import ahead_of_ours
from tests.tools.toy_patch import SLOW, slow_toy

from yolosweep.ledger import RunFolder, read_events
from yolosweep.ledger.history import History

pytestmark = pytest.mark.slow

SEEN = """
import pathlib, sys
class Seen:
    def find_spec(self, name, path=None, target=None):
        if name == "yolosweep.backends.toy.trainer":
            pathlib.Path(__file__).with_name("trained").touch()
sys.meta_path.insert(0, Seen())
"""
DRAINED = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "10"}
LONG = ("search.trials=40", "train.epochs=2000", "train.patience=0", "search.pruner=none", "resources.max_concurrent=3")


@pytest.fixture
def node(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, str]]]:
    """A function that returns a folder in which ``trained`` appears when a node trains, and its environment.

    A node that is not good has another numpy, or says so.
    """

    def make(name: str, *, good: bool) -> tuple[Path, dict[str, str]]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SLOW + SEEN)
        if not good:
            about = folder / "numpy-1.0.0.dist-info"
            about.mkdir()
            (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0.0\n")
        return folder, {"PYTHONPATH": ahead_of_ours(folder)}

    return make


def notes(run: Path) -> Iterator[str]:
    history = History.of(RunFolder(run))
    return (str(note.text) for note in history.notes)


def rows_told(run: Path, trial: str) -> list[int]:
    """Return the epochs of a trial in the order the ledger was told of them."""
    events = read_events(RunFolder(run).ledger)
    return [one.row.epoch for one in events if one.event == "row" and one.trial == trial]


@pytest.fixture
def start_spot(shell: Any, tmp_path: Path, wait_for: Any) -> Callable[..., Any]:
    """A function that adds a machine to a cluster which is told before it goes; its cache folder is its own.

    It runs in ``yolosweep node``, or as Ray alone, which drains it for some seconds.
    """

    def start(cluster: Any, *, alone: bool = False) -> Any:
        ray_start = ("-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1")
        words = ray_start if alone else ("-m", "yolosweep", "node", "--", sys.executable, *ray_start)
        before = cluster.registered()
        more = {"XDG_CACHE_HOME": str(tmp_path / "spot")} | (DRAINED if alone else {})
        process = shell.start_python(*words, f"--address={cluster.reach['RAY_ADDRESS']}", **cluster.reach, **more)
        wait_for(lambda: cluster.registered() > before)
        return process

    return start


@pytest.mark.nightly  # a bad node that joins: the next test; the probes: unit/cluster
def test_a_bad_node_is_told_and_left_out(
    shell: Any, start_cluster: Any, node: Any, repository: Path, tmp_path: Path
) -> None:
    cluster = start_cluster("--num-cpus=1", "--include-dashboard=false")
    bad, environment = node("bad", good=False)
    cluster.join("--num-cpus=4", "--num-gpus=2", **environment)
    toy = repository / "jobs" / "experiments" / "toy.yaml"

    done = shell("doctor", code=6, **cluster.reach)
    assert "numpy 1.0.0, the driver has" in done.out
    assert "2 registered with Ray, torch can use 0" in done.out
    told = json.loads(shell("doctor", toy, "--json", code=6, **cluster.reach).out)
    assert [one["good"] for one in told["nodes"]].count(True) == 1
    assert {p["check"] for one in told["nodes"] for p in one["problems"] if p["red"]} == {"versions"}  # no GPU for toys

    sweep = shell.run(toy, "search.trials=2", "train.epochs=2", "search.pruner=none", **cluster.reach)
    assert "is excluded: versions: numpy 1.0.0" in sweep.err
    assert any("is excluded" in note for note in sweep.history.started.notes)
    assert sweep.history.started.slots["concurrent"] == 1
    assert [trial.record.ending.value for trial in sweep.history.trials.values()] == ["finished"] * 2
    assert not (bad / "trained").exists()


def test_no_good_node_is_an_error_with_every_reason(
    shell: Any, start_cluster: Any, node: Any, repository: Path, tmp_path: Path
) -> None:
    cluster = start_cluster("--num-cpus=1", "--include-dashboard=false", **node("bad", good=False)[1])
    done = shell("run", repository / "jobs" / "experiments" / "toy.yaml", code=6, **cluster.reach)
    assert "no node of the cluster can run trials" in done.err
    assert "numpy 1.0.0" in done.err
    assert not list(tmp_path.glob("runs/*"))


def test_nodes_that_join_are_looked_at_and_one_that_dies_costs_an_epoch(
    shell: Any, start_cluster: Any, node: Any, repository: Path, tmp_path: Path, wait_for: Any
) -> None:
    slow = {"PYTHONPATH": ahead_of_ours(slow_toy(tmp_path / "slow"))}
    cluster = start_cluster("--num-cpus=1", "--include-dashboard=false", **slow)
    process = shell.start("run", repository / "jobs" / "experiments" / "toy.yaml", *LONG, **cluster.reach)
    try:
        run: Path = wait_for(lambda: next((one.parent for one in tmp_path.glob("runs/*/ledger.jsonl")), None))
        wait_for(lambda: any(trial.rows for trial in History.of(RunFolder(run)).trials.values()))
        bad, environment = node("bad", good=False)
        cluster.join("--num-cpus=1", **environment)
        good, environment = node("good", good=True)
        raylet = cluster.join("--num-cpus=1", **environment)
        wait_for(lambda: any("joined and is excluded: versions: numpy 1.0.0" in note for note in notes(run)))
        wait_for((good / "trained").exists)
        sitting = wait_for(lambda: [t for t in History.of(RunFolder(run)).trials.values() if t.record is None][1:])
        wait_for(lambda: len(History.of(RunFolder(run)).trials[sitting[0].request.trial].rows) > 2)
        cluster.kill(raylet)
        resumed = wait_for(
            lambda: [e for t in History.of(RunFolder(run)).trials.values() for e in t.resumes]
        )[0]  # fmt: skip
        assert resumed.cause == "infra"
        assert resumed.from_epoch >= 2
        # No node is left for it but the head: the trial of the lost node goes on there when a slot is free.
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert not (bad / "trained").exists()
    lost = History.of(RunFolder(run)).trials[resumed.trial]
    assert [row.epoch for row in lost.rows] == list(range(1, len(lost.rows) + 1))


@pytest.mark.nightly  # what a draining node does: unit/cluster/test_draining; a node that goes: the test above
@pytest.mark.parametrize("alone", [False, True], ids=["yolosweep node", "ray start"])
def test_a_spot_machine_stores_its_trials_before_it_goes(
    shell: Any, start_cluster: Any, start_spot: Any, repository: Path, parking: Path, tmp_path: Path, wait_for: Any,
    alone: bool,
) -> None:  # fmt: skip
    cluster = start_cluster("--num-cpus=1", "--include-dashboard=false")
    spot = start_spot(cluster, alone=alone)
    shutil.copytree(parking, tmp_path / "parking")  # the machines' cache folders are not the same
    few = ("search.trials=2", "train.epochs=4000", "train.patience=0", "search.pruner=none")
    sweep = shell.start(
        *("run", repository / "jobs" / "experiments" / "toy.yaml", *few, "trial.checkpoint_every=5000"),
        *("resources.max_concurrent=2", "resources.cpus_per_trial=1"), f"data={tmp_path}/parking/data.yaml",
        **cluster.reach,
    )  # fmt: skip
    run: Path = wait_for(lambda: next((one.parent for one in tmp_path.glob("runs/*/ledger.jsonl")), None))

    def trained() -> list[int]:
        return [len(trial.rows) for trial in History.of(RunFolder(run)).trials.values()]

    wait_for(lambda: len(trained()) == 2 and min(trained()) > 20)
    spot.send_signal(signal.SIGTERM)
    _, told = spot.communicate(timeout=300)
    assert spot.returncode == (1 if alone else 0), told
    assert alone or "node drained" in told
    assert "killed" not in told, "Ray ends by itself, so the cluster knows at once that the node is gone"
    assert len(cluster.raylets()) == 1
    again = wait_for(lambda: [one for trial in History.of(RunFolder(run)).trials.values() for one in trial.resumes])[0]
    wait_for(lambda: len(rows_told(run, again.trial)) > again.from_epoch + 20)
    sweep.send_signal(signal.SIGINT)
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 130, err
    assert again.cause == "preempted"
    assert again.from_epoch > 20
    # No checkpoint was due yet: all the same, no epoch was trained twice.
    epochs = rows_told(run, again.trial)
    assert epochs == list(range(1, len(epochs) + 1))


@pytest.mark.nightly  # ranks: test_ranks_sweep; a node that drains: the test above
def test_the_ranks_of_a_trial_lie_on_two_nodes_and_leave_one_that_has_to_go(
    shell: Any, start_cluster: Any, start_spot: Any, repository: Path, parking: Path, tmp_path: Path, wait_for: Any
) -> None:
    cluster = start_cluster("--num-cpus=1", "--include-dashboard=false")
    spot = start_spot(cluster)
    shutil.copytree(parking, tmp_path / "parking")
    ranks = ("resources.workers=2", "resources.gpus_per_trial=0", "resources.cpus_per_trial=2")
    small = (
        "search.trials=1",
        "search.pruner=none",
        "trial.checkpoint_every=1000",
        "train.epochs=6",
        "train.warmup_epochs=0",
        "train.imgsz=32",
        "train.fraction=0.1",
    )
    quickstart = repository / "jobs" / "experiments" / "quickstart.yaml"
    data = f"data={tmp_path}/parking/data.yaml"
    sweep = shell.start("run", quickstart, data, *ranks, *small, **cluster.reach)
    run: Path = wait_for(lambda: next((one.parent for one in tmp_path.glob("runs/*/ledger.jsonl")), None))
    wait_for(lambda: any(len(trial.rows) > 1 for trial in History.of(RunFolder(run)).trials.values()))
    spot.send_signal(signal.SIGTERM)  # the machine of rank 1
    _, told = spot.communicate(timeout=300)
    assert spot.returncode == 0, told
    assert "node drained" in told
    (trial,) = wait_for(lambda: [t for t in History.of(RunFolder(run)).trials.values() if t.resumes])
    assert [one.cause for one in trial.resumes] == ["preempted"]
    cluster.join("--num-cpus=1")
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, err
    history = History.of(RunFolder(run))
    (trial,) = history.trials.values()
    assert trial.record.ending.value == "finished", trial.record
    assert trial.record.world_size == 2
    assert history.started.slots["spread"]  # each node has one core: no other placement is possible
    assert rows_told(run, "t0000") == [1, 2, 3, 4, 5, 6]  # no checkpoint was due here either


TWO_GPUS = """
import os
class version: cuda = "13.0"
class Tensor:
    def __matmul__(self, other): return self
def ones(*shape, device): return Tensor()
class cuda:
    device_count = staticmethod(lambda: len(os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")))
    get_device_name = staticmethod(lambda index: f"H200 number {index}")
    synchronize = staticmethod(lambda index: None)
    get_device_properties = staticmethod(lambda index: type("Properties", (), {"total_memory": 140 << 30}))
"""
CHECK = """
import os, sys, time, ray
from yolosweep.cluster import Admission, ProbeRequest, DiskEstimate
from yolosweep.cluster.preflight import check_joining_node
from yolosweep.records import PreparedDataset
from yolosweep.cluster.versions import versions

dataset = PreparedDataset(task="detect", source="/nowhere", train_on="/nowhere", names={}, images={}, fingerprint="f")
wanted = dict(probe=ProbeRequest(), disk=DiskEstimate(), address=sys.argv[1], versions=versions())
admission = Admission(dataset=dataset, **wanted)

@ray.remote(num_gpus=1, num_cpus=0)
class Worker:
    def check(self):
        return os.environ["CUDA_VISIBLE_DEVICES"], check_joining_node(admission, {"CPU": 1.0, "GPU": 2.0}, time.time)[0]

ray.init(address="local", num_cpus=1, num_gpus=2, include_dashboard=False, log_to_driver=False)
print(*ray.get(Worker.remote().check.remote()), sep="|")
"""


@pytest.mark.nightly  # a node with several GPUs: unit/cluster/test_preflight
def test_a_node_is_checked_with_all_its_gpus_from_a_worker_that_sees_one(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TWO_GPUS)  # stands in for torch on a machine of two GPUs
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK, str(tmp_path / "run")],
        env=shell.environment(PYTHONPATH=ahead_of_ours(tmp_path)), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    granted, fault = done.stdout.strip().split("|")
    assert granted in ("0", "1")
    assert fault.startswith("data: "), fault  # of which there are none here: nothing is wrong with its GPUs
