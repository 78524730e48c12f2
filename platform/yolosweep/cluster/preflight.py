"""Every node is looked at before a trial runs on it, those that join later too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from yolosweep.cluster.credentials import import_credentials
from yolosweep.cluster.data_on_nodes import data_fault
from yolosweep.cluster.disk_estimate import DiskEstimate
from yolosweep.cluster.node_checks import Expected, Problem, judge
from yolosweep.cluster.node_probe import Asked, NodeFacts, probe, take_probe_back
from yolosweep.cluster.versions import versions
from yolosweep.errors import YolosweepError
from yolosweep.records import PreparedDataset

__all__ = ["Admission", "NodeReport", "look_at_nodes", "look_beside", "look_here", "probe_arrived"]

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
    room: DiskEstimate
    address: str
    """Of the run, or its folder."""
    dataset: PreparedDataset
    versions: Mapping[str, str]
    """The driver's."""
    first: str = ""
    """Where the first image is, if it has to be at the same place."""


def look_at_nodes(asked: Asked, *, room: DiskEstimate | None = None) -> list[NodeReport]:
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
    expected = replace(_expected(asked, room or DiskEstimate(), versions()), asked_s=began)
    return [_report(one, node, expected, answered.get(one)) for one, node in running.items()]


def _look(asked: Asked) -> NodeFacts:
    import_credentials()
    return probe(asked)


def _report(one: Any, node: Any, expected: Expected, answered: float | None) -> NodeReport:
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
    problems = judge(facts, replace(expected, resources=node["Resources"], answered_s=answered))
    fault = "" if expected.storage is None else probe_arrived(expected.storage, facts.storage_mark)
    if fault and not facts.storage_error:
        problems.append(Problem(check="storage", red=True, text=fault))
    return NodeReport(**about, facts=facts, problems=tuple(problems))


def probe_arrived(storage: str, mark: str) -> str:
    """Take away what a node says to have written into the storage; return what is wrong where it is not there, or ''.

    For the driver's node: that a node can write somewhere does not make it the same storage.
    """
    why = ""
    try:
        if not mark or take_probe_back(storage, mark):
            return ""
    except (OSError, YolosweepError) as error:
        why = f" ({str(error).splitlines()[0]})"
    return f"{storage}: what it writes there is not seen by the driver{why}; let every node mount the same storage"


def _expected(asked: Asked, room: DiskEstimate, driver: Mapping[str, str], *, late: bool = False) -> Expected:
    """Return what every node has to be like; what differs from one to the next is put in for each."""
    uses, storage = asked.torch and asked.gpus, asked.storage
    return Expected(versions=driver, uses_gpus=uses, storage=storage, room=room, late=late, loaders=asked.torch)


def look_beside(admission: Admission, resources: Mapping[str, float], now: Callable[[], float]) -> tuple[str, str]:
    """Look at this node, see :func:`look_here`, from a process that was granted no GPU: this one may see its own alone.

    Raises:
        RayError: the process was lost.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task = ray.remote(num_cpus=0, max_retries=0)(_look_late).options(scheduling_strategy=there)
    found: tuple[str, str] = ray.get(task.remote(admission, resources, now))
    return found


def _look_late(admission: Admission, resources: Mapping[str, float], now: Callable[[], float]) -> tuple[str, str]:
    import_credentials()
    return look_here(admission, resources, now)


def look_here(admission: Admission, resources: Mapping[str, float], now: Callable[[], float]) -> tuple[str, str]:
    """Look at this node, from a process on it, and at its data.

    Args:
        admission: what it is asked for.
        resources: what it promised to Ray.
        now: asks for the time on the driver's node.

    Returns:
        Why it may not run trials, or ''; and what it wrote into the storage, for :func:`probe_arrived`.
    """
    expected = _expected(admission.asked, admission.room, admission.versions, late=True)
    facts, began = probe(admission.asked), now()
    facts = replace(facts, clock_s=time.time())
    problems = tuple(judge(facts, replace(expected, resources=resources, asked_s=began, answered_s=now())))
    report = NodeReport(node="", host=facts.host, resources=resources, problems=problems)
    data = data_fault(admission.dataset, admission.first, admission.address) if report.good else ""
    return report.reason or (data and f"data: {data}"), facts.storage_mark
