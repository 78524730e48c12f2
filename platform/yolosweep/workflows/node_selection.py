"""Which nodes of a cluster run the trials of an experiment, and what they are checked for."""

from __future__ import annotations

from yolosweep.cluster import (
    Allocation,
    DiskEstimate,
    ProbeRequest,
    check_nodes,
    disk_needs,
    remove_probe,
    write_probe,
)
from yolosweep.data import copied
from yolosweep.errors import ClusterError
from yolosweep.runtime.trial_resources import allot
from yolosweep.runtime.tune_adapter import Cluster
from yolosweep.workflows.experiment_checks import Checked

__all__ = ["allocation_of", "good_nodes", "needs_of", "probe_request"]


def probe_request(checked: Checked | None, storage: str | None, marker: str = "") -> ProbeRequest:
    """Return what to measure on the nodes for an experiment."""
    if checked is None:
        return ProbeRequest(storage=storage, marker=marker)
    exp, copy = checked.experiment, copied(checked.gate.layout.root)
    gpus = exp.resources.gpus_per_trial != 0
    return ProbeRequest(torch=exp.backend.uses_torch, gpus=gpus, storage=storage, marker=marker, copy=copy)


def needs_of(checked: Checked, address: str, allocation: Allocation | None) -> DiskEstimate:
    """Return the disk estimate of a checked experiment; see :func:`yolosweep.cluster.disk_needs`."""
    (exp, size), gate = checked.largest, checked.gate
    return disk_needs(exp, gate, model_bytes=size, address=address, allocation=allocation)


def allocation_of(cluster: Cluster, checked: Checked) -> Allocation | None:
    """Return the allocation if all nodes were good; None if no trial fits."""
    exp = checked.experiment
    try:
        return allot(exp.resources, list(cluster.nodes.values()), exp.search.trials, may_grow=cluster.joined)
    except ClusterError:
        return None


def good_nodes(cluster: Cluster, checked: Checked, address: str) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Check the nodes of a cluster; return the resources of the good ones, and why the others are excluded.

    A local Ray is checked only if it has GPUs: the driver itself would have failed on anything else.

    Raises:
        ClusterError: no node is good; the message names each one with its reason.
    """
    if not cluster.joined and not any(node.get("GPU") for node in cluster.nodes.values()):
        return cluster.nodes, {}
    marker = write_probe(address)
    try:
        needs = needs_of(checked, address, allocation_of(cluster, checked))
        reports = check_nodes(probe_request(checked, address, marker), disk=needs)
    finally:
        remove_probe(address, marker)
    bad = {report.node: f"node {report.host} is excluded: {report.reason}" for report in reports if not report.good}
    good = {report.node: dict(report.resources) for report in reports if report.good}
    if not good:
        lines = "\n".join(f"  {line}" for line in bad.values())
        raise ClusterError(f"no node of the cluster can run trials:\n{lines}")
    return good, bad
