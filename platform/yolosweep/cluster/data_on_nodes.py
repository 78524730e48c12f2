"""The same data on every node: the fingerprint is computed where trials may run, before the first one does."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from yolosweep.cluster.credentials import import_credentials
from yolosweep.cluster.node_preparation import prepare_node, seen
from yolosweep.errors import DataError, YolosweepError
from yolosweep.records import PreparedDataset
from yolosweep.storage.addresses import is_address

__all__ = ["data_fault", "verify_data"]

_PATIENCE_S = 1800.0
"""How long a node may take to read the data; the first time it reads every file."""


def verify_data(dataset: PreparedDataset, first: Path, address: str, left_out: Collection[str] = ()) -> int:
    """Let every node but this one read the data, and compare the fingerprints; Ray must be connected.

    Args:
        dataset: as examined here.
        first: its first image here: the trials are given paths, so it must be there under the same one.
        address: of the run, or its folder; with a run in an object storage the nodes are prepared, too.
        left_out: nodes that run no trials.

    Returns:
        How many other nodes have the same data.

    Raises:
        DataError: nodes see other data or none; all of them are listed.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in (here, *left_out)]
    task = ray.remote(num_cpus=0, max_retries=1)(_seen)
    asked: dict[Any, str] = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        answer = task.options(scheduling_strategy=there).remote(address, dataset)
        asked[answer] = node["NodeManagerHostname"] or node["NodeManagerAddress"]
    if asked:
        ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S)
    place = "" if is_address(address) else str(first)
    wrong = [fault for answer, host in asked.items() if (fault := _fault(answer, host, dataset.fingerprint, place))]
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise DataError(
            f"{dataset.source} is not the same on every node:\n{lines}\n"
            "put the data where every node sees them under this path, e.g. on a shared folder"
        )
    return len(nodes)


def _seen(address: str, dataset: PreparedDataset) -> tuple[str, str, str]:
    """Return the fingerprint of the data as this node sees them and where the first image is, or why not."""
    import_credentials()
    try:
        return *seen(address, dataset), ""
    except (YolosweepError, OSError) as error:
        return "", "", str(error)


def _fault(answer: Any, host: str, fingerprint: str, first: str) -> str:
    import ray

    try:
        found, place, fault = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return f"{host}: has not read the data within {_PATIENCE_S / 60:.0f} minutes"
    except ray.exceptions.RayError as error:
        return f"{host}: could not look ({str(error).splitlines()[0]})"
    if fault:
        return f"{host}: {fault.splitlines()[0]}"
    if found != fingerprint:
        return f"{host}: sees other files or labels (fingerprint {found[:12]}, here {fingerprint[:12]})"
    if first and place != first:
        return f"{host}: has the same files in another place ({place}, here {first})"
    return ""


def data_fault(dataset: PreparedDataset, first: str, address: str) -> str:
    """Return what keeps trials from training on the data of a sweep on this machine, which joined later, or ''.

    Args:
        dataset: as examined where the sweep was started.
        first: where its first image has to be; empty where each node has paths of its own.
        address: of the run, or its folder.
    """
    try:
        if is_address(address):
            prepare_node(address, dataset)
            return ""
        found, place = seen(address, dataset)
    except (YolosweepError, OSError) as error:
        return str(error).splitlines()[0]
    if found != dataset.fingerprint:
        seen_here = f"other files or labels (fingerprint {found[:12]}, not {dataset.fingerprint[:12]})"
        return f"{dataset.source}: {seen_here}; put the data of the sweep there"
    if first and place != first:
        return f"the same files are in another place ({place}, not {first}); put them under the same path"
    return ""
