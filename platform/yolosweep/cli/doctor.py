"""``yolosweep doctor``, and the look at every node that a run begins with."""

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
    Asked,
    DiskEstimate,
    NodeReport,
    look_at_nodes,
    remove_probe,
    require_token,
    room_for,
    verify_data,
    write_probe,
)
from yolosweep.data import copied
from yolosweep.errors import ClusterError, DataError
from yolosweep.experiment.schema import Experiment
from yolosweep.runtime.resources import allot
from yolosweep.runtime.tune_adapter import Cluster, connected

__all__ = ["examine_cluster", "good_nodes", "room", "what_matters"]

_CHECKS = ("node", "versions", "GPUs", "OpenCV", "storage", "disk", "shared memory", "clock")
_REACH_S = 3.0


def what_matters(checked: Checked | None, storage: str | None, marker: str = "") -> Asked:
    """Return what nodes are asked for an experiment."""
    if checked is None:
        return Asked(storage=storage, marker=marker)
    exp, copy = checked.experiment, copied(checked.gate.layout.root)
    gpus = exp.resources.gpus_per_trial != 0
    return Asked(torch=exp.backend.uses_torch, gpus=gpus, storage=storage, marker=marker, copy=copy)


def room(checked: Checked, place: str, slots: Allocation | None) -> DiskEstimate:
    """Return the disk that an experiment needs; see :func:`yolosweep.cluster.room_for`."""
    return room_for(checked.experiment, checked.gate, model_bytes=checked.model_bytes, place=place, slots=slots)


def _slots(cluster: Cluster, checked: Checked) -> Allocation | None:
    """Return how trials would be placed if all nodes were good; None where none fits."""
    exp = checked.experiment
    try:
        return allot(exp.resources, list(cluster.nodes.values()), exp.search.trials, may_grow=cluster.joined)
    except ClusterError:
        return None


def good_nodes(cluster: Cluster, checked: Checked, place: str) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Look at the nodes of a cluster; return the resources of the good ones, and why the others are left out.

    Ray on this machine alone is only looked at where GPUs were promised: the driver would have noticed the rest.

    Raises:
        ClusterError: no node is good; each is named with its reason.
    """
    if not cluster.joined and not any(node.get("GPU") for node in cluster.nodes.values()):
        return cluster.nodes, {}
    marker = write_probe(place)
    try:
        needed = room(checked, place, _slots(cluster, checked))
        reports = look_at_nodes(what_matters(checked, place, marker), room=needed)
    finally:
        remove_probe(place, marker)
    bad = {report.node: f"node {report.host} is left out: {report.reason}" for report in reports if not report.good}
    good = {report.node: dict(report.resources) for report in reports if report.good}
    if not good:
        lines = "\n".join(f"  {line}" for line in bad.values())
        raise ClusterError(f"no node of the cluster can run trials:\n{lines}")
    return good, bad


def examine_cluster(source: Path | None, overrides: Sequence[str], *, address: str | None, as_json: bool) -> int:
    """Look at every node, print one table and return the exit code: 0, or 6 where anything is red.

    Args:
        source: an experiment whose storage and data are looked at too.
        overrides: ``KEY=VALUE`` for it.
        address: ``host:6379`` of a cluster; None for ``RAY_ADDRESS``, else this machine.

    Raises:
        ClusterError: Ray cannot be reached, or another machine is to be reached without a token.
        ExperimentError: the experiment is wrong.
        DataError: the data are wrong already here.
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
            needed = room(checked, storage, _slots(cluster, checked)) if checked and storage else None
            reports = look_at_nodes(what_matters(checked, storage, marker), room=needed)
            data = _data(checked)
    finally:
        if storage is not None:
            remove_probe(storage, marker)
    red = [report for report in reports if not report.good]
    notes = _wandb(exp)
    if as_json:
        print(
            json.dumps({"good": not red and not data, "nodes": _plain(reports), "data": data, "notes": notes}, indent=2)
        )
    else:
        _describe(reports, data, notes, with_data=checked is not None)
    return ClusterError.exit_code if red or data else 0


def _absolute(storage: str) -> str:
    return storage if "://" in storage else str(Path(storage).expanduser().absolute())


def _data(checked: Checked | None) -> list[str]:
    """Return what nodes see otherwise than this one."""
    if checked is None:
        return []
    try:
        verify_data(checked.dataset, checked.gate.layout.splits["train"][0].image, "")
    except DataError as error:
        return str(error).splitlines()
    return []


def _wandb(exp: Experiment | None) -> list[str]:
    """Return a note on whether W&B answers: nothing waits for it, so it is never red."""
    if exp is None or exp.track.wandb is None or exp.track.wandb.mode == "off":
        return []
    url = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_REACH_S).close()
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
    """Print a line for every node, and under it what is wrong there."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("node", "", "CPUs", "GPUs", "what"):
        table.add_column(column, justify="right" if column in ("CPUs", "GPUs") else "left", overflow="fold")
    for report in reports:
        cpus, gpus = report.resources.get("CPU", 0.0), report.resources.get("GPU", 0.0)
        verdict = "[green]good[/green]" if report.good else "[red]left out[/red]"
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
