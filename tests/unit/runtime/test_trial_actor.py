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

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, time
import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from yolosweep.cluster.preemption import clear_notice, drain
from yolosweep.errors import ClusterError
from yolosweep.records import TrialRequest
from yolosweep.runtime.controller_client import NAMESPACE, ControllerClient
from yolosweep.runtime.trial_actor import TrialActor

EXAMPLE = TrialRequest(
    sweep="s", trial="t0000", number=0, task="detect", model="toy/red", data="d", settings={"epochs": 1}, asked={},
    identity="", metric="m", folder=sys.argv[1],
)

class Controller:
    def __init__(self, answers):
        self.answers, self.calls, self.asked = list(answers), [], 0
    def may_train(self, node):
        return self.answers.pop(0)
    def over(self):
        self.asked += 1
        return self.asked > 2
    def preparation(self):
        return None
    def example(self):
        return EXAMPLE
    def begin(self, slot):
        self.calls.append("begin")
        return None
    def cordoned(self, slot):
        self.calls.append("cordoned")
    def heartbeat(self, slot, activity):
        pass
    def hung(self):
        time.sleep(600)
    def replacing(self, slot):
        self.calls.append("replacing")
    def report(self):
        return self.calls, self.asked

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
    actor = actor.remote({"slot": 0, "controller": name})
    told[name] = [ray.get(actor.step.remote()), *ray.get(controller.report.remote())]
    ray.kill(actor)
    ray.util.remove_placement_group(group)
clear_notice()
controller = ray.remote(Controller).options(num_cpus=0).remote([])
ray.get(controller.report.remote())
try:
    ControllerClient(controller, "", answer_s=0.5).hung()
except ClusterError as error:
    told["deaf"] = [str(error)]
try:
    ray.get(controller.report.remote(), timeout=60)
except ray.exceptions.RayActorError:
    told["deaf"].append("killed")
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """What a step returned, which calls the controller got, and how often it was asked whether the sweep is over."""
    folder: Path = tmp_path_factory.mktemp("actor")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "RAY_AUTH_MODE": "disabled"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)],
        env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_on_a_good_node_it_asks_for_a_trial(told: dict[str, list[object]]) -> None:
    assert told["good"] == [{"done": True}, ["begin"], 0]


@pytest.mark.parametrize("case", ["bad", "first bad", "second bad"])
def test_with_any_rank_on_an_excluded_node_it_trains_nothing_and_holds_its_resources_until_the_end(
    case: str, told: dict[str, list[object]]
) -> None:
    assert told[case] == [{"done": True}, ["cordoned", "replacing"], 3]


def test_on_a_draining_node_it_asks_for_no_trial(told: dict[str, list[object]]) -> None:
    assert told["draining"] == [{"done": False}, ["replacing"], 3]


def test_a_controller_that_does_not_answer_is_killed_and_ends_the_sweep(told: dict[str, list[object]]) -> None:
    assert told["deaf"] == ["the process that keeps the ledger did not answer for 0.5 s and was killed", "killed"]
