"""The check of every node of a cluster, without running a trial."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolosweep.cluster import NodeReport, check_nodes, remove_probe, require_token, verify_data, write_probe
from yolosweep.errors import DataError
from yolosweep.experiment import Source
from yolosweep.runtime.tune_adapter import connected
from yolosweep.storage.addresses import is_address
from yolosweep.tracking import reach_notes
from yolosweep.workflows.experiment_checks import Checked, check
from yolosweep.workflows.node_selection import allocation_of, needs_of, probe_request
from yolosweep.workflows.progress_listener import Listener

__all__ = ["ClusterCheck", "check_cluster"]


@dataclass(frozen=True, kw_only=True)
class ClusterCheck:
    """What was found on the nodes of a cluster."""

    nodes: tuple[NodeReport, ...]
    data: tuple[str, ...] | None
    """How the data on other nodes differ from those here, one line each; None without an experiment."""
    notes: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether every node can run trials on the same data."""
        return all(report.good for report in self.nodes) and not self.data


def check_cluster(
    source: Source | None, overrides: Sequence[str], listener: Listener, *, address: str | None = None
) -> ClusterCheck:
    """Check every node of a cluster.

    Args:
        source: an experiment whose storage and data are checked, too.
        overrides: ``KEY=VALUE`` for it.
        listener: receives the progress of reading the data.
        address: ``host:6379`` of a cluster; None for ``RAY_ADDRESS``, else this machine.

    Raises:
        ClusterError: Ray cannot be reached, or is on another machine and there is no token.
        ExperimentError: the experiment is invalid.
        DataError: the data already fail the checks on this machine.
    """
    if address is not None:
        require_token(address, os.environ, key="--address ")
        os.environ["RAY_ADDRESS"] = address
    checked = None if source is None else check(source, overrides, listener)
    exp = None if checked is None else checked.experiment
    storage = None if exp is None else _absolute(exp.storage)
    marker = "" if storage is None else write_probe(storage)
    try:
        with connected() as cluster:
            needs = needs_of(checked, storage, allocation_of(cluster, checked)) if checked and storage else None
            reports = check_nodes(probe_request(checked, storage, marker), disk=needs)
            data = None if checked is None else tuple(_data_problems(checked))
    finally:
        if storage is not None:
            remove_probe(storage, marker)
    return ClusterCheck(
        nodes=tuple(reports), data=data, notes=() if exp is None else reach_notes(exp.track, os.environ)
    )


def _absolute(storage: str) -> str:
    return storage if is_address(storage) else str(Path(storage).expanduser().absolute())


def _data_problems(checked: Checked) -> list[str]:
    """Return how the data on other nodes differ from those on this one."""
    try:
        verify_data(checked.dataset, checked.gate.layout.splits["train"][0].image, "")
    except DataError as error:
        return str(error).splitlines()
    return []
