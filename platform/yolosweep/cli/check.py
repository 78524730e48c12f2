"""``yolosweep check``: what the data gate says of a dataset, as a table, as JSON, as a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.cli.progress_bar import progress
from yolosweep.data import OUTSIDE, Gate, described, examine, with_waived
from yolosweep.data.model.safe_paths import printable
from yolosweep.errors import DataError, UsageError
from yolosweep.experiment import Experiment, load_experiment, sizes_of
from yolosweep.records import Finding, Severity
from yolosweep.storage.addresses import is_address

__all__ = ["check_data"]

_SHOWN_CLASSES = 20


def check_data(
    source: str,
    *,
    task: str | None,
    imgsz: Sequence[int],
    allow: Sequence[str],
    report: Path | None,
    fail_on: str,
    as_json: bool,
) -> int:
    """Examine a dataset, or that of an experiment, say what was found, and return the exit code.

    Args:
        source: a data.yaml, a folder, ``sample:parking``, or an experiment file.
        task: detect where it is None, or what the experiment says.
        imgsz: image sizes to measure boxes against; those of the experiment if none are given.
        allow: codes that do not count for the exit code.
        report: where to write the page; None writes none.
        fail_on: the least severity for which the exit code is that of :class:`DataError`.
        as_json: print JSON instead of tables.

    Raises:
        DataError: the data cannot be read as a dataset at all.
        UsageError: an option says something that does not exist.
    """
    if fail_on not in tuple(Severity):
        raise UsageError(f"--fail-on {fail_on}: choose from {', '.join(severity.value for severity in Severity)}")
    exp = _experiment(source)
    task = task or (exp.task if exp else "detect")
    sizes = list(imgsz) or (sizes_of(exp) if exp else [DEFAULT_BACKEND.arguments.imgsz({})])
    named = source if source.startswith("sample:") or is_address(source) else str(Path(source).absolute())
    tell, copying = progress("reading the data"), progress("copying the data", in_bytes=True)
    place, anywhere = exp.data if exp else named, OUTSIDE in allow
    gate = with_waived(examine(place, task, imgsz=sizes, anywhere=anywhere, progress=tell, copying=copying), allow)
    worst = list(Severity)[: list(Severity).index(Severity(fail_on)) + 1]
    stopping = any(found.severity in worst and found.code not in allow for found in gate.dataset.findings)
    code = DataError.exit_code if stopping else 0
    if report is not None:
        from yolosweep.cli.data_report import write_page

        try:
            write_page(gate, exp, report, sizes, code)
        except OSError as error:
            raise UsageError(f"--report {report} cannot be written: {error.strerror}; name another file") from error
    told = _told(gate, report)
    if as_json:
        import json

        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _describe(gate, told)
    return code


def _experiment(source: str) -> Experiment | None:
    """Return the experiment if the file is one: it has a ``search:``."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    try:
        has_search = any(line.startswith("search:") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return None
    return load_experiment(path, ()) if has_search else None


def _told(gate: Gate, report: Path | None) -> dict[str, Any]:
    dataset = gate.dataset
    splits = {
        split: {
            "images": found.images,
            "objects": found.objects,
            "empty": found.empty,
            "unlabelled": found.unlabelled,
            "instances": {dataset.names[number]: count for number, count in found.instances.items()},
            "images_with": {dataset.names[number]: count for number, count in found.images_with.items()},
            "leaking": dataset.leaks.get(split),
            "same_source": dataset.same_source.get(split),
        }
        for split, found in gate.counts.splits.items()
        if found.images
    }
    by = [finding.severity for finding in dataset.findings]
    return {
        "source": dataset.source,
        "task": dataset.task,
        "fingerprint": dataset.fingerprint,
        "names": {str(number): name for number, name in dataset.names.items()},
        "splits": splits,
        "errors": by.count(Severity.ERROR),
        "warnings": by.count(Severity.WARNING),
        "notes": by.count(Severity.NOTE),
        "allowed": list(dataset.allowed),
        "findings": [finding.model_dump(mode="json") for finding in dataset.findings],
        "report": str(report) if report else None,
    }


def _describe(gate: Gate, told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(f"{printable(told['source'], 4096)}  {told['task']}, fingerprint {told['fingerprint'][:12]}"))
    heads = ("split", "images", "background", "no labels", "objects", "leaking", "same source")
    table = Table(*heads, box=None, pad_edge=False)
    for split, line in told["splits"].items():
        shares = ("" if share is None else f"{share:.1%}" for share in (line["leaking"], line["same_source"]))
        cells = (line["images"], line["empty"], line["unlabelled"], line["objects"], *shares)
        table.add_row(split, *(str(cell) for cell in cells))
    console.print(table)
    classes = Table("class", *told["splits"], box=None, pad_edge=False)
    for name in list(told["names"].values())[:_SHOWN_CLASSES]:
        classes.add_row(Text(printable(name)), *(str(line["instances"][name]) for line in told["splits"].values()))
    console.print(classes)
    if len(told["names"]) > _SHOWN_CLASSES:
        console.print(f"and {len(told['names']) - _SHOWN_CLASSES} more classes: --json lists them all")
    for severity in Severity:
        _describe_findings(console, severity, [f for f in gate.dataset.findings if f.severity is severity])
    count = ", ".join(f"{told[kind]} {kind}" for kind in ("errors", "warnings", "notes"))
    if gate.dataset.allowed:
        count += f" ({', '.join(gate.dataset.allowed)} let pass)"
    console.print(count if gate.errors else f"{count}: a sweep may start", style="bold")
    if told["report"]:
        console.print(f"report     {told['report']}", markup=False)


def _describe_findings(console: Any, severity: Severity, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    console.print(f"\n{severity.value}s", style="bold")
    for finding in findings:
        console.print(f"  {described(finding)}", markup=False)
