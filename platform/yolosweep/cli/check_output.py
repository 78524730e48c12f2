"""The data checks of a data set as tables."""

from __future__ import annotations

from collections.abc import Sequence

from yolosweep.cli.console import print_line, print_table
from yolosweep.data import described
from yolosweep.data.model.safe_paths import printable
from yolosweep.records import DataCheck, Finding, Severity, SplitCheck

__all__ = ["describe_check"]

_SHOWN_CLASSES = 20


def describe_check(found: DataCheck) -> None:
    """Print the findings for people."""
    print_line(f"{printable(found.source, 4096)}  {found.task}, fingerprint {found.fingerprint[:12]}")
    print_table(
        ("split", "images", "background", "no labels", "objects", "leaking", "same source", "same scene"),
        [
            (split, counts.images, counts.empty, counts.unlabelled, counts.objects, *_shares(counts))
            for split, counts in found.splits.items()
        ],
    )
    names = list(found.names.values())
    print_table(
        ("class", *found.splits),
        [
            (printable(name), *(counts.instances[name] for counts in found.splits.values()))
            for name in names[:_SHOWN_CLASSES]
        ],
    )
    if len(names) > _SHOWN_CLASSES:
        print_line(f"and {len(names) - _SHOWN_CLASSES} more classes: --json lists them all")
    for severity in Severity:
        _describe_findings(severity, [f for f in found.findings if f.severity is severity])
    counts = (("error", found.errors), ("warning", found.warnings), ("note", found.notes))
    count = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in counts)
    if found.allowed:
        count += f" ({', '.join(found.allowed)} waived)"
    print_line(f"{count}: a sweep can start" if found.is_trainable else count, style="bold")
    if found.report:
        print_line(f"report     {found.report}")


def _shares(counts: SplitCheck) -> list[str]:
    return [
        "" if share is None else f"{share:.1%}" for share in (counts.leaking, counts.same_source, counts.same_scene)
    ]


def _describe_findings(severity: Severity, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    print_line(f"\n{severity.value}s", style="bold")
    for finding in findings:
        print_line(f"  {described(finding)}")
