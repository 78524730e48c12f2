"""What a trial actor asks the controller, in real Ray processes on this machine; the controller is a stand-in.

Whole sweeps prove the other behaviours. ``test_toy_sweep``: recycling, and the fresh process after an error (a
trial that stalls). ``test_ranks_sweep``: a rank that fails alone. ``test_nodes``: preemption, joining and
excluded nodes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.nightly]  # good, bad and draining nodes by day: test_nodes, unit/cluster

SCRIPT = """
import json, sys, time
import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from yolosweep.cluster.node_draining import clear_notice, drain
from yolosweep.errors import ClusterError
from yolosweep.records import TrialRequest
from yolosweep.runtime.controller_client import NAMESPACE, ControllerClient
from yolosweep.runtime.trial_actor import PLACED, TrialActor

EXAMPLE = TrialRequest(
    sweep="s", trial="t0000", number=0, task="detect", model="toy/red", data="d", settings={"epochs": 1}, asked={},
    identity="", metric="m", folder=sys.argv[1],
)

class Controller:
    def __init__(self, answers):
        self.answers, self.calls = list(answers), []
    def may_train(self, node):
        return self.answers.pop(0)
    def preparation(self):
        return None
    def example(self):
        return EXAMPLE
    def begin(self, trial, node):
        self.calls.append(f"begin {trial}")
        return None
    def cordoned(self, trial, draining=""):
        self.calls.append(f"cordoned {trial} {bool(draining)}")
    def leaving(self, trial):
        self.calls.append(f"leaving {trial}")
    def heartbeat(self, worker, activity):
        pass
    def over(self):
        time.sleep(600)
    def report(self):
        return self.calls

ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
told = {}
CASES = {"good": ["good"], "bad": ["bad"], "first bad": ["bad", "good"], "second bad": ["good", "bad"]}
CASES["draining"] = ["good"]
for name, answers in CASES.items():
    if name == "draining":
        drain(0)
    controller = ray.remote(Controller).options(name=name, namespace=NAMESPACE, num_cpus=0).remote(answers)
    ray.get(controller.report.remote())
    group = ray.util.placement_group([{"CPU": 1.0}] * len(answers))
    inside = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
    actor = ray.remote(TrialActor).options(num_cpus=1, scheduling_strategy=inside)
    actor = actor.remote({PLACED: {"trial": "t0000", "controller": name}})
    try:
        ended = ray.get(actor.step.remote())
    except ray.exceptions.RayActorError:
        ended = "exit"
    told[name] = [ended, ray.get(controller.report.remote())]
    ray.kill(actor)
    ray.util.remove_placement_group(group)
clear_notice()
controller = ray.remote(Controller).options(num_cpus=0).remote([])
ray.get(controller.report.remote())
client = ControllerClient(controller, "", answer_s=0.5)
try:
    client.over()
except ClusterError as error:
    told["deaf"] = [str(error), client.trouble is error]
try:
    ray.get(controller.report.remote(), timeout=60)
except ray.exceptions.RayActorError:
    told["deaf"].append("killed")
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """What a step returned, and which calls the controller got."""
    folder: Path = tmp_path_factory.mktemp("actor")
    environment = {k: v for k, v in os.environ.items() if k == "RAY_worker_niceness" or not k.startswith("RAY_")}
    environment |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "RAY_AUTH_MODE": "disabled"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)],
        env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_on_a_good_node_it_begins_its_trial(told: dict[str, list[object]]) -> None:
    assert told["good"] == [{"done": True}, ["begin t0000"]]


@pytest.mark.parametrize("case", ["bad", "first bad", "second bad", "draining"])
def test_with_any_rank_on_an_excluded_node_or_on_one_that_drains_it_trains_nothing_and_ends(
    case: str, told: dict[str, list[object]]
) -> None:
    assert told[case] == ["exit", [f"cordoned t0000 {case == 'draining'}"]]


def test_a_controller_that_does_not_answer_is_killed_and_ends_the_sweep(told: dict[str, list[object]]) -> None:
    error = "the process that keeps the ledger did not answer for 0.5 s and was killed"
    assert told["deaf"] == [error, True, "killed"]
