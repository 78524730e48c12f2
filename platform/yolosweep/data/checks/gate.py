"""The data gate: everything that is known of a dataset before the first trial, and whether a sweep may start on it."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yolosweep.data.checks.class_balance import Counts, balance_findings, counts
from yolosweep.data.checks.content_findings import content_findings
from yolosweep.data.duplicates.leaks import LeakReport, leak_findings
from yolosweep.data.layout.layout import read_layout
from yolosweep.data.model.finding_codes import CODES
from yolosweep.data.model.items import Item, Labels, Layout, Pictures
from yolosweep.data.scan.scan import scan
from yolosweep.data.source.locate import place_of
from yolosweep.errors import DataError, UsageError
from yolosweep.experiment.addresses import is_address
from yolosweep.records import Finding, PreparedDataset, Severity

__all__ = ["OUTSIDE", "Gate", "described", "examine", "waive", "with_waived"]

OUTSIDE = "file-outside"
"""Code of files outside of the dataset's folders; whoever allows it has them read."""
_GRAVEST = list(Severity)
"""Errors first."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A dataset as examined: the result that crosses rooms, and what it was drawn from."""

    dataset: PreparedDataset
    layout: Layout
    pictures: Pictures
    labels: Labels
    leaks: LeakReport
    counts: Counts

    @property
    def errors(self) -> list[Finding]:
        """Findings that nobody has let pass."""
        return [
            finding
            for finding in self.dataset.findings
            if finding.severity is Severity.ERROR and finding.code not in self.dataset.allowed
        ]


def examine(
    source: str,
    task: str,
    *,
    imgsz: Sequence[int] = (),
    anywhere: bool = False,
    tell: Callable[[int, int], None] | None = None,
    copying: Callable[[int, int], None] | None = None,
) -> Gate:
    """Read every image and label of a dataset and say what a sweep on it would run into; write nothing.

    Args:
        source: a data.yaml, a folder (classify: ``train/<class>/*``; else one with a data.yaml), an archive of such a
            folder, the address of one of these in an object storage, ``sample:parking``.
        task: the experiment's task.
        imgsz: image sizes that will be trained with; boxes are measured against them.
        anywhere: also take files outside of the dataset's folders, which links and lists may lead to.
        tell: called now and then with the number of files read, and of all.
        copying: called now and then with the number of bytes copied from an object storage, and of all.

    Raises:
        DataError: it cannot be read as a dataset at all; the message says what was looked for and where.
    """
    layout = read_layout(place_of(source, copying), task, outside=anywhere)
    pictures, labels = scan(layout, tell=tell)
    leaking, leaks = leak_findings(layout, pictures, labels)
    found = [
        *layout.findings,
        *content_findings(layout, pictures, labels),
        *leaking,
        *balance_findings(layout, pictures, labels, imgsz=imgsz),
    ]
    found_counts = counts(layout, labels)
    dataset = PreparedDataset(
        task=task,
        source=source if source.startswith("sample:") or is_address(source) else str(Path(source).absolute()),
        train_on=str(layout.source),
        names=layout.names,
        images={split: len(items) for split, items in layout.splits.items()},
        instances={split: one.instances for split, one in found_counts.splits.items() if split in layout.splits},
        fingerprint=_fingerprint(layout, pictures, labels),
        labels_digest=_labels_digest(layout, labels),
        findings=tuple(sorted(found, key=lambda finding: _GRAVEST.index(finding.severity))),
        leaks=dict(leaks.shares),
        same_source=dict(leaks.sequence_shares),
    )
    return Gate(dataset=dataset, layout=layout, pictures=pictures, labels=labels, leaks=leaks, counts=found_counts)


def waive(gate: Gate, allow: Sequence[str]) -> PreparedDataset:
    """Return the dataset with the codes that are let pass, if nothing else is wrong with it.

    Args:
        gate: the dataset as examined.
        allow: codes of errors to go on with.

    Raises:
        DataError: other errors were found; all are listed.
        UsageError: there are no such codes.
    """
    passed = with_waived(gate, allow)
    wrong = passed.errors
    if wrong:
        count = f"{len(wrong)} problem{'s' if len(wrong) != 1 else ''}"
        lines = [f"{gate.dataset.source} has {count}", *(f"  {described(finding)}" for finding in wrong)]
        options = " ".join(f"--allow {code}" for code in sorted({finding.code for finding in wrong}))
        raise DataError("\n".join([*lines, f"see them: yolosweep check; go on all the same: {options}"]))
    return passed.dataset


def with_waived(gate: Gate, allow: Sequence[str]) -> Gate:
    """Return the gate with the codes of errors that are let pass, whatever else is wrong.

    Raises:
        UsageError: there are no such codes.
    """
    for code in allow:
        if code not in CODES:
            near = difflib.get_close_matches(code, CODES, n=1)
            raise UsageError(
                f"--allow {code}: no finding has this code" + (f"; did you mean {near[0]}?" if near else "")
            )
    errors = {finding.code for finding in gate.dataset.findings if finding.severity is Severity.ERROR}
    passed = tuple(sorted(errors & set(allow)))
    return replace(gate, dataset=gate.dataset.model_copy(update={"allowed": passed}))


def described(finding: Finding) -> str:
    """Return a finding in one line: code, reason, place, way out."""
    place = f" ({finding.file}{f':{finding.line}' if finding.line else ''})" if finding.file else ""
    return f"{finding.code}: {finding.message}{place}" + (f"; {finding.fix}" if finding.fix else "")


def _labels_digest(layout: Layout, labels: Labels) -> str:
    digest = hashlib.sha256()
    for split, items in layout.splits.items():
        for text in sorted(
            f"{_within(layout, item.label)} {labels[item.label].sha256}"
            if item.label is not None
            else f"{item.image.name} {item.category}"
            for item in items
        ):
            digest.update(f"{split} {text}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _within(layout: Layout, file: Path) -> str:
    """Return the last two parts of a path, or its name alone right in the dataset's own folder."""
    return file.name if file.parent in (layout.root, layout.source.parent) else f"{file.parent.name}/{file.name}"


def _fingerprint(layout: Layout, pictures: Pictures, labels: Labels) -> str:
    """Return the SHA-256 of task, names, splits and the content of all files; of paths only the last two parts count.

    Those parts order the images, and the order is part of what a seed stands for. The dataset's own folder is none of
    them: it may be called otherwise.
    """
    digest = hashlib.sha256(json.dumps([layout.task, layout.names, layout.extra], sort_keys=True).encode())

    def line(item: Item) -> str:
        label = labels[item.label].sha256 if item.label is not None and item.label in labels else ""
        return f"{_within(layout, item.image)} {pictures[item.image].sha256} {label or '-'}"

    for split, items in layout.splits.items():
        for text in sorted(line(item) for item in items):
            digest.update(f"{split} {text}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
