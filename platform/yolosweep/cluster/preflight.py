"""Check every node before a trial runs on it, including nodes that join later."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from yolosweep.cluster.credentials import import_credentials
from yolosweep.cluster.data_on_nodes import data_fault
from yolosweep.cluster.disk_estimate import DiskEstimate
from yolosweep.cluster.node_checks import Expected, Problem, node_problems
from yolosweep.cluster.node_probe import NodeFacts, ProbeRequest, probe, take_reply
from yolosweep.cluster.versions import versions
from yolosweep.errors import YolosweepError
from yolosweep.records import PreparedDataset

__all__ = ["Admission", "NodeReport", "check_joining_node", "check_nodes", "check_this_node", "reply_fault"]

_TIMEOUT_S = 240.0


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """The result of the checks of one node."""

    node: str
    """Ray's id of the node."""
    host: str
    resources: Mapping[str, float]
    facts: NodeFacts | None = None
    """None if the probe failed."""
    problems: tuple[Problem, ...] = ()

    @property
    def good(self) -> bool:
        """Whether trials may run on it."""
        return not any(problem.red for problem in self.problems)

    @property
    def reason(self) -> str:
        """Why trials may not run on it, in one line."""
        return "; ".join(f"{problem.check}: {problem.text}" for problem in self.problems if problem.red)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What a node that joins later must provide."""

    probe: ProbeRequest
    disk: DiskEstimate
    address: str
    """The run's address or folder."""
    dataset: PreparedDataset
    versions: Mapping[str, str]
    """The driver's package versions."""
    first: str = ""
    """Required path of the first image; empty if each node has paths of its own."""


def check_nodes(request: ProbeRequest, *, disk: DiskEstimate | None = None) -> list[NodeReport]:
    """Check all live nodes in parallel. Ray must be connected."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task, running, sent = ray.remote(num_cpus=0, max_retries=0)(_probe), {}, time.time()
    for node in (node for node in ray.nodes() if node["Alive"]):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        running[task.options(scheduling_strategy=there).remote(request)] = node
    answered, left = dict[Any, float](), list(running)
    while left and time.time() - sent < _TIMEOUT_S:
        done, left = ray.wait(left, timeout=_TIMEOUT_S)
        answered.update(dict.fromkeys(done, time.time()))
    expected = replace(_expected(request, disk or DiskEstimate(), versions()), sent_s=sent)
    return [_report(one, node, expected, answered.get(one)) for one, node in running.items()]


def _probe(request: ProbeRequest) -> NodeFacts:
    import_credentials()
    return probe(request)


def _report(answer: Any, node: Any, expected: Expected, answered: float | None) -> NodeReport:
    import ray

    host = node["NodeManagerHostname"] or node["NodeManagerAddress"]
    about: dict[str, Any] = {"node": node["NodeID"], "host": host, "resources": node["Resources"]}
    try:
        if answered is None:
            raise TimeoutError(f"no answer within {_TIMEOUT_S:.0f} s")
        facts: NodeFacts = ray.get(answer)
    except (ray.exceptions.RayError, TimeoutError) as error:
        last = str(error).strip().splitlines()[-1]
        text = f"preflight failed: {last}; is yolosweep installed on this node, and is its disk full?"
        return NodeReport(**about, problems=(Problem(check="node", red=True, text=text),))
    problems = node_problems(facts, replace(expected, resources=node["Resources"], answered_s=answered))
    fault = "" if expected.storage is None else reply_fault(expected.storage, facts.storage_reply)
    if fault and not facts.storage_error:
        problems.append(Problem(check="storage", red=True, text=fault))
    return NodeReport(**about, facts=facts, problems=tuple(problems))


def reply_fault(storage: str, reply: str) -> str:
    """Delete a node's reply from the storage; return the problem if the driver cannot find it, or ''.

    Call it on the driver's node: a node that can write to the path does not necessarily mount the same storage.
    """
    why = ""
    try:
        if not reply or take_reply(storage, reply):
            return ""
    except (OSError, YolosweepError) as error:
        why = f" ({str(error).splitlines()[0]})"
    return f"{storage}: the driver does not see what the node writes there{why}; mount the same storage on every node"


def _expected(request: ProbeRequest, disk: DiskEstimate, driver: Mapping[str, str], *, late: bool = False) -> Expected:
    """Return what every node must provide, without the values that differ by node."""
    uses, storage = request.torch and request.gpus, request.storage
    return Expected(versions=driver, uses_gpus=uses, storage=storage, disk=disk, late=late, loaders=request.torch)


def check_joining_node(
    admission: Admission, resources: Mapping[str, float], now: Callable[[], float]
) -> tuple[str, str]:
    """Run :func:`check_this_node` in a process that was granted no GPU; this one may see only its own GPUs.

    Raises:
        RayError: the process was lost.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task = ray.remote(num_cpus=0, max_retries=0)(_check_late).options(scheduling_strategy=there)
    found: tuple[str, str] = ray.get(task.remote(admission, resources, now))
    return found


def _check_late(admission: Admission, resources: Mapping[str, float], now: Callable[[], float]) -> tuple[str, str]:
    import_credentials()
    return check_this_node(admission, resources, now)


def check_this_node(admission: Admission, resources: Mapping[str, float], now: Callable[[], float]) -> tuple[str, str]:
    """Check this node and its data, from a process on it.

    Args:
        admission: what the node must provide.
        resources: the resources it registered with Ray.
        now: returns the time on the driver's node.

    Returns:
        Why it may not run trials, or ''; and the name of its reply in the storage, for :func:`reply_fault`.
    """
    expected = _expected(admission.probe, admission.disk, admission.versions, late=True)
    facts, sent = probe(admission.probe), now()
    facts = replace(facts, clock_s=time.time())
    problems = tuple(node_problems(facts, replace(expected, resources=resources, sent_s=sent, answered_s=now())))
    report = NodeReport(node="", host=facts.host, resources=resources, problems=problems)
    data = data_fault(admission.dataset, admission.first, admission.address) if report.good else ""
    return report.reason or (data and f"data: {data}"), facts.storage_reply
