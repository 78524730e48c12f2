"""``yolosweep doctor``, and the node checks at the start of a run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yolosweep.cli.experiment_checks import Checked, check
from yolosweep.cluster import (
    Allocation,
    DiskEstimate,
    NodeReport,
    ProbeRequest,
    check_nodes,
    disk_needs,
    remove_probe,
    require_token,
    verify_data,
    write_probe,
)
from yolosweep.data import copied
from yolosweep.errors import ClusterError, DataError
from yolosweep.experiment.schema import Experiment
from yolosweep.runtime.resources import allot
from yolosweep.runtime.tune_adapter import Cluster, connected
from yolosweep.storage.addresses import is_address

__all__ = ["examine_cluster", "good_nodes", "needs_of", "probe_request"]

_CHECKS = ("node", "versions", "GPUs", "OpenCV", "storage", "disk", "shared memory", "clock")
_WANDB_TIMEOUT_S = 3.0


def probe_request(checked: Checked | None, storage: str | None, marker: str = "") -> ProbeRequest:
    """Return what to measure on the nodes for an experiment."""
    if checked is None:
        return ProbeRequest(storage=storage, marker=marker)
    exp, copy = checked.experiment, copied(checked.gate.layout.root)
    gpus = exp.resources.gpus_per_trial != 0
    return ProbeRequest(torch=exp.backend.uses_torch, gpus=gpus, storage=storage, marker=marker, copy=copy)


def needs_of(checked: Checked, address: str, allocation: Allocation | None) -> DiskEstimate:
    """Return the disk estimate of a checked experiment; see :func:`yolosweep.cluster.disk_needs`."""
    exp, gate = checked.experiment, checked.gate
    return disk_needs(exp, gate, model_bytes=checked.model_bytes, address=address, allocation=allocation)


def _allocation(cluster: Cluster, checked: Checked) -> Allocation | None:
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
        needs = needs_of(checked, address, _allocation(cluster, checked))
        reports = check_nodes(probe_request(checked, address, marker), disk=needs)
    finally:
        remove_probe(address, marker)
    bad = {report.node: f"node {report.host} is excluded: {report.reason}" for report in reports if not report.good}
    good = {report.node: dict(report.resources) for report in reports if report.good}
    if not good:
        lines = "\n".join(f"  {line}" for line in bad.values())
        raise ClusterError(f"no node of the cluster can run trials:\n{lines}")
    return good, bad


def examine_cluster(source: Path | None, overrides: Sequence[str], *, address: str | None, as_json: bool) -> int:
    """Check every node, print one table and return the exit code: 0, or 6 if anything is red.

    Args:
        source: an experiment whose storage and data are checked, too.
        overrides: ``KEY=VALUE`` for it.
        address: ``host:6379`` of a cluster; None for ``RAY_ADDRESS``, else this machine.

    Raises:
        ClusterError: Ray cannot be reached, or is on another machine and there is no token.
        ExperimentError: the experiment is invalid.
        DataError: the data already fail the checks on this machine.
    """
    if address is not None:
        require_token(address, os.environ, key="--address ")
        os.environ["RAY_ADDRESS"] = address
    checked = None if source is None else check(source, overrides)
    exp = None if checked is None else checked.experiment
    storage = None if exp is None else _absolute(exp.storage)
    marker = "" if storage is None else write_probe(storage)
    try:
        with contextlib.redirect_stdout(sys.stderr), connected() as cluster:
            needs = needs_of(checked, storage, _allocation(cluster, checked)) if checked and storage else None
            reports = check_nodes(probe_request(checked, storage, marker), disk=needs)
            data = _data_problems(checked)
    finally:
        if storage is not None:
            remove_probe(storage, marker)
    red = [report for report in reports if not report.good]
    notes = _wandb_notes(exp)
    if as_json:
        print(
            json.dumps({"good": not red and not data, "nodes": _plain(reports), "data": data, "notes": notes}, indent=2)
        )
    else:
        _describe(reports, data, notes, with_data=checked is not None)
    return ClusterError.exit_code if red or data else 0


def _absolute(storage: str) -> str:
    return storage if is_address(storage) else str(Path(storage).expanduser().absolute())


def _data_problems(checked: Checked | None) -> list[str]:
    """Return how the data on other nodes differ from those on this one."""
    if checked is None:
        return []
    try:
        verify_data(checked.dataset, checked.gate.layout.splits["train"][0].image, "")
    except DataError as error:
        return str(error).splitlines()
    return []


def _wandb_notes(exp: Experiment | None) -> list[str]:
    """Return a note on whether W&B answers; it is never red, because no sweep waits for W&B."""
    if exp is None or exp.track.wandb is None or exp.track.wandb.mode == "off":
        return []
    url = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_WANDB_TIMEOUT_S).close()
    except OSError as error:
        return [
            f"W&B at {url} does not answer ({error}); results are kept, `yolosweep track push RUN` sends them later"
        ]
    return [f"W&B at {url} answers"]


def _plain(reports: Sequence[NodeReport]) -> list[dict[str, Any]]:
    return [
        {
            "node": report.node,
            "host": report.host,
            "good": report.good,
            "cpus": report.resources.get("CPU", 0.0),
            "gpus": report.resources.get("GPU", 0.0),
            "gpus_seen": list(report.facts.gpus) if report.facts else None,
            "versions": dict(report.facts.versions) if report.facts else None,
            "problems": [{"check": p.check, "red": p.red, "text": p.text} for p in report.problems],
        }
        for report in reports
    ]


def _describe(reports: Sequence[NodeReport], data: Sequence[str], notes: Sequence[str], *, with_data: bool) -> None:
    """Print a line per node, with its problems below it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("node", "", "CPUs", "GPUs", "what"):
        table.add_column(column, justify="right" if column in ("CPUs", "GPUs") else "left", overflow="fold")
    for report in reports:
        cpus, gpus = report.resources.get("CPU", 0.0), report.resources.get("GPU", 0.0)
        verdict = "[green]good[/green]" if report.good else "[red]excluded[/red]"
        what = ", ".join(report.facts.gpus) if report.facts else ""
        table.add_row(escape(report.host), verdict, f"{cpus:g}", f"{gpus:g}", escape(what))
        for problem in sorted(report.problems, key=lambda p: _CHECKS.index(p.check)):
            style = "red" if problem.red else "yellow"
            table.add_row("", f"[{style}]{problem.check}[/{style}]", "", "", escape(problem.text))
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    console.print(table)
    if with_data:
        console.print("data       " + ("the same on every node" if not data else ""))
    for line in data:
        console.print(line, style="red", markup=False)
    for note in notes:
        console.print(f"note       {note}", markup=False)
