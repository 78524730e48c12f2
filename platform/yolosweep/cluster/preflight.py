"""Every node is looked at before a trial runs on it, those that join later too."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yolosweep.cluster.judge import Expected, Problem, judge
from yolosweep.cluster.keyring import adopt
from yolosweep.cluster.node import prepare_node, seen
from yolosweep.cluster.probe import Asked, NodeFacts, probe
from yolosweep.errors import YolosweepError
from yolosweep.experiment.addresses import is_address
from yolosweep.records import PreparedDataset
from yolosweep.versions import versions

__all__ = ["Admission", "NodeReport", "look_at_nodes", "look_here"]

_PATIENCE_S = 240.0


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """A node, and what is to be said of it."""

    node: str
    """Ray's id of it."""
    host: str
    resources: Mapping[str, float]
    facts: NodeFacts | None = None
    """None where it could not be looked at."""
    problems: tuple[Problem, ...] = ()

    @property
    def good(self) -> bool:
        """Whether trials may run on it."""
        return not any(problem.red for problem in self.problems)

    @property
    def reason(self) -> str:
        """Why not, in one line."""
        return "; ".join(f"{problem.check}: {problem.text}" for problem in self.problems if problem.red)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What a node that joins later is asked for."""

    asked: Asked
    room_mb: float
    address: str
    """Of the run, or its folder."""
    dataset: PreparedDataset
    versions: Mapping[str, str]
    """The driver's."""


def look_at_nodes(asked: Asked, *, room_mb: float = 0.0) -> list[NodeReport]:
    """Look at every node that is alive, all at once; Ray must be connected."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task, running, began = ray.remote(num_cpus=0, max_retries=0)(_look), {}, time.time()
    for node in (node for node in ray.nodes() if node["Alive"]):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        running[task.options(scheduling_strategy=there).remote(asked)] = node
    answered, left = dict[Any, float](), list(running)
    while left and time.time() - began < _PATIENCE_S:
        done, left = ray.wait(left, timeout=_PATIENCE_S)
        answered.update(dict.fromkeys(done, time.time()))
    return [_report(one, node, asked, room_mb, began, answered.get(one)) for one, node in running.items()]


def _look(asked: Asked) -> NodeFacts:
    adopt()
    return probe(asked)


def _report(one: Any, node: Any, asked: Asked, room_mb: float, began: float, answered: float | None) -> NodeReport:
    import ray

    host = node["NodeManagerHostname"] or node["NodeManagerAddress"]
    about: dict[str, Any] = {"node": node["NodeID"], "host": host, "resources": node["Resources"]}
    try:
        if answered is None:
            raise TimeoutError(f"it has not answered within {_PATIENCE_S:.0f} s")
        facts: NodeFacts = ray.get(one)
    except (ray.exceptions.RayError, TimeoutError) as error:
        last = str(error).strip().splitlines()[-1]
        text = f"it cannot be looked at: {last}; is yolosweep installed there, and its disk not full?"
        return NodeReport(**about, problems=(Problem(check="node", red=True, text=text),))
    expected = _expected(asked, node["Resources"], room_mb, versions(), began, answered)
    return NodeReport(**about, facts=facts, problems=tuple(judge(facts, expected)))


def _expected(
    asked: Asked, resources: Mapping[str, float], room_mb: float, driver: Mapping[str, str], began: float, ended: float
) -> Expected:
    return Expected(
        versions=driver,
        gpus=resources.get("GPU", 0.0) if asked.torch and asked.gpus else None,
        storage=asked.storage,
        room_mb=room_mb,
        asked_s=began,
        answered_s=ended,
        loaders=asked.torch,
    )


def look_here(admission: Admission, node: str) -> str:
    """Look at this node, from a process on it, and at its data; return why it may not run trials, or ''.

    Its clock is not compared: the driver is not asked again.
    """
    import ray

    resources: Mapping[str, float] = next((one["Resources"] for one in ray.nodes() if one["NodeID"] == node), {})
    facts, asked = probe(admission.asked), admission.asked
    expected = _expected(asked, resources, admission.room_mb, admission.versions, facts.clock_s, facts.clock_s)
    report = NodeReport(node=node, host=facts.host, resources=resources, problems=tuple(judge(facts, expected)))
    return report.reason or _data_fault(admission)


def _data_fault(admission: Admission) -> str:
    dataset = admission.dataset
    try:
        if is_address(admission.address) or is_address(dataset.source):
            prepare_node(admission.address, dataset)
            return ""
        found, _ = seen(admission.address, dataset)
    except (YolosweepError, OSError) as error:
        return f"data: {str(error).splitlines()[0]}"
    if found != dataset.fingerprint:
        return (
            f"data: {dataset.source}: other files or labels (fingerprint {found[:12]}, not {dataset.fingerprint[:12]})"
        )
    return ""
