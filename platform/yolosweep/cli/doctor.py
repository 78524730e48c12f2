"""``yolosweep doctor``: every node of a cluster in one table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolosweep.cli.console import Styled, print_json, print_line, print_table
from yolosweep.cli.terminal_listener import ConsoleListener
from yolosweep.errors import ClusterError
from yolosweep.workflows.cluster_check import ClusterCheck, check_cluster

__all__ = ["examine_cluster"]

_CHECKS = ("node", "versions", "GPUs", "OpenCV", "storage", "disk", "shared memory", "clock")


def examine_cluster(source: Path | None, overrides: Sequence[str], *, address: str | None, as_json: bool) -> int:
    """Check every node, print one table and return the exit code: 0, or 6 if anything is red.

    Raises:
        YolosweepError: see :func:`check_cluster`.
    """
    with contextlib.redirect_stdout(sys.stderr):  # Ray reports dead processes on standard output
        found = check_cluster(source, overrides, ConsoleListener(), address=address)
    if as_json:
        print_json(_plain(found))
    else:
        _describe(found)
    return 0 if found.is_good else ClusterError.exit_code


def _plain(found: ClusterCheck) -> dict[str, Any]:
    nodes = [
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
        for report in found.nodes
    ]
    return {"good": found.is_good, "nodes": nodes, "data": list(found.data or ()), "notes": list(found.notes)}


def _describe(found: ClusterCheck) -> None:
    """Print a line per node, with its problems below it."""
    rows: list[tuple[object, ...]] = []
    for report in found.nodes:
        cpus, gpus = report.resources.get("CPU", 0.0), report.resources.get("GPU", 0.0)
        verdict = Styled("good", "green") if report.good else Styled("excluded", "red")
        what = ", ".join(report.facts.gpus) if report.facts else ""
        rows.append((report.host, verdict, f"{cpus:g}", f"{gpus:g}", what))
        for problem in sorted(report.problems, key=lambda p: _CHECKS.index(p.check)):
            rows.append(("", Styled(problem.check, "red" if problem.red else "yellow"), "", "", problem.text))
    print_table(("node", "", "CPUs", "GPUs", "what"), rows, right=("CPUs", "GPUs"))
    if found.data is not None:
        print_line("data       " + ("the same on every node" if not found.data else ""))
    for line in found.data or ():
        print_line(line, style="red")
    for note in found.notes:
        print_line(f"note       {note}")
