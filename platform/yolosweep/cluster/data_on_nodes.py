"""Verify that every node sees the same data, by fingerprint, before the first trial starts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from yolosweep.cluster.credentials import import_credentials
from yolosweep.cluster.node_preparation import fingerprint_here, prepare_node
from yolosweep.errors import DataError, YolosweepError
from yolosweep.records import PreparedDataset
from yolosweep.storage.addresses import is_address

__all__ = ["data_fault", "verify_data"]

_TIMEOUT_S = 1800.0
"""Limit for a node to read the data; the first time, it reads every file."""


def verify_data(dataset: PreparedDataset, first: Path, address: str, excluded: Collection[str] = ()) -> int:
    """Read the data on every other node and compare the fingerprints. Ray must be connected.

    Args:
        dataset: the data set as examined on this node.
        first: path of its first image on this node. Trials receive paths, so other nodes need the same one.
        address: the run's address or folder. If it is in object storage, the nodes are prepared, too.
        excluded: ids of nodes that run no trials.

    Returns:
        Number of other nodes that have the same data.

    Raises:
        DataError: some nodes see different data or none; the message lists all of them.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in (here, *excluded)]
    task = ray.remote(num_cpus=0, max_retries=1)(_fingerprint)
    running: dict[Any, str] = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        answer = task.options(scheduling_strategy=there).remote(address, dataset)
        running[answer] = node["NodeManagerHostname"] or node["NodeManagerAddress"]
    if running:
        ray.wait(list(running), num_returns=len(running), timeout=_TIMEOUT_S)
    path = "" if is_address(address) else str(first)
    wrong = [fault for answer, host in running.items() if (fault := _fault(answer, host, dataset.fingerprint, path))]
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise DataError(
            f"{dataset.source} is not the same on every node:\n{lines}\n"
            "put the data where every node can read them under this path, e.g. in a shared folder"
        )
    return len(nodes)


def _fingerprint(address: str, dataset: PreparedDataset) -> tuple[str, str, str]:
    """Return the data's fingerprint on this node, the path of the first image, and the error, if any."""
    import_credentials()
    try:
        return *fingerprint_here(address, dataset), ""
    except (YolosweepError, OSError) as error:
        return "", "", str(error)


def _fault(answer: Any, host: str, fingerprint: str, first: str) -> str:
    import ray

    try:
        found, path, fault = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return f"{host}: has not read the data within {_TIMEOUT_S / 60:.0f} minutes"
    except ray.exceptions.RayError as error:
        return f"{host}: the check failed ({str(error).splitlines()[0]})"
    if fault:
        return f"{host}: {fault.splitlines()[0]}"
    if found != fingerprint:
        return f"{host}: has different files or labels (fingerprint {found[:12]}, here {fingerprint[:12]})"
    if first and path != first:
        return f"{host}: has the same files under another path ({path}, here {first})"
    return ""


def data_fault(dataset: PreparedDataset, first: str, address: str) -> str:
    """Return why trials cannot use a sweep's data on this node, which joined later, or ''.

    Args:
        dataset: the data set as examined where the sweep started.
        first: required path of its first image; empty if each node has paths of its own.
        address: the run's address or folder.
    """
    try:
        if is_address(address):
            prepare_node(address, dataset)
            return ""
        found, path = fingerprint_here(address, dataset)
    except (YolosweepError, OSError) as error:
        return str(error).splitlines()[0]
    if found != dataset.fingerprint:
        different = f"different files or labels (fingerprint {found[:12]}, not {dataset.fingerprint[:12]})"
        return f"{dataset.source}: {different}; put the sweep's data there"
    if first and path != first:
        return f"the same files are under another path ({path}, not {first}); put them under the same path"
    return ""
