"""The data checks of a data set, as tables, JSON or a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.cli.console import print_json, print_line, print_table
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
    """Check a data set, or that of an experiment, print the findings, and return the exit code.

    Args:
        source: a data.yaml, a folder, ``sample:parking``, or an experiment file.
        task: None: that of the experiment, else detect.
        imgsz: image sizes to measure boxes at; empty: those of the experiment.
        allow: waived codes; they do not affect the exit code.
        report: where to write the page; None: nowhere.
        fail_on: the lowest severity for which the exit code is that of :class:`DataError`.
        as_json: print JSON instead of tables.

    Raises:
        DataError: the data cannot be read as a dataset at all.
        UsageError: an option has an unknown value.
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
    result = _result(gate, report)
    if as_json:
        print_json(result)
    else:
        _describe(gate, result)
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


def _result(gate: Gate, report: Path | None) -> dict[str, Any]:
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


def _describe(gate: Gate, result: dict[str, Any]) -> None:
    print_line(f"{printable(result['source'], 4096)}  {result['task']}, fingerprint {result['fingerprint'][:12]}")
    splits = result["splits"]
    print_table(
        ("split", "images", "background", "no labels", "objects", "leaking", "same source"),
        [
            (split, line["images"], line["empty"], line["unlabelled"], line["objects"], *_shares(line))
            for split, line in splits.items()
        ],
    )
    names = list(result["names"].values())
    print_table(
        ("class", *splits),
        [(printable(name), *(line["instances"][name] for line in splits.values())) for name in names[:_SHOWN_CLASSES]],
    )
    if len(names) > _SHOWN_CLASSES:
        print_line(f"and {len(names) - _SHOWN_CLASSES} more classes: --json lists them all")
    for severity in Severity:
        _describe_findings(severity, [f for f in gate.dataset.findings if f.severity is severity])
    count = ", ".join(f"{result[kind]} {kind}" for kind in ("errors", "warnings", "notes"))
    if gate.dataset.allowed:
        count += f" ({', '.join(gate.dataset.allowed)} waived)"
    print_line(count if gate.errors else f"{count}: a sweep can start", style="bold")
    if result["report"]:
        print_line(f"report     {result['report']}")


def _shares(line: dict[str, Any]) -> list[str]:
    return ["" if share is None else f"{share:.1%}" for share in (line["leaking"], line["same_source"])]


def _describe_findings(severity: Severity, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    print_line(f"\n{severity.value}s", style="bold")
    for finding in findings:
        print_line(f"  {described(finding)}")
