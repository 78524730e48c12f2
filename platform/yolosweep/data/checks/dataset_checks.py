"""The data checks: everything known about a dataset before the first trial, and whether a sweep may start on it."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yolosweep.data.checks.class_balance import Counts, balance_findings, counts
from yolosweep.data.checks.image_findings import image_findings
from yolosweep.data.checks.label_findings import label_findings
from yolosweep.data.duplicates.leak_summary import LeakReport, leak_findings
from yolosweep.data.foreign.any_format import named_format, read_dataset
from yolosweep.data.model.dataset_items import Images, Item, Labels, Layout
from yolosweep.data.model.finding_codes import CODES, finding
from yolosweep.data.scan.dataset_scan import scan
from yolosweep.data.source.data_location import local_path
from yolosweep.errors import DataError, UsageError
from yolosweep.records import Finding, PreparedDataset, Severity
from yolosweep.storage.addresses import is_address

__all__ = ["Gate", "described", "examine", "waive", "with_waived"]

_BY_SEVERITY = list(Severity)
"""Errors first."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """An examined dataset: the record that other packages use, and the facts behind it."""

    dataset: PreparedDataset
    layout: Layout
    image_facts: Images
    labels: Labels
    leaks: LeakReport
    counts: Counts

    @property
    def errors(self) -> list[Finding]:
        """Errors that are not waived."""
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
    progress: Callable[[int, int], None] | None = None,
    copying: Callable[[int, int], None] | None = None,
) -> Gate:
    """Read every image and label of a dataset and report every problem for a sweep; write nothing.

    Args:
        source: A data.yaml, a folder (classify: ``train/<class>/*``; else one with a data.yaml), an archive of such a
            folder, the address of one of these in an object storage, or ``sample:parking``.
        task: The experiment's task.
        imgsz: Image sizes to train with; boxes are measured against them.
        anywhere: Also use files outside the dataset's folders, which links and lists may lead to.
        progress: Called with the number of files read so far and in total.
        copying: Called with the number of bytes copied from an object storage so far and in total.

    Raises:
        DataError: It cannot be read as a dataset; the message says what was expected and where.
    """
    layout = _with_format(read_dataset(local_path(source, copying), task, outside=anywhere))
    image_facts, labels = scan(layout, progress=progress)
    leaking, leaks = leak_findings(layout, image_facts, labels)
    found = [
        *layout.findings,
        *image_findings(layout, image_facts),
        *label_findings(layout, labels),
        *_without_repeats(layout, leaking),
        *balance_findings(layout, image_facts, labels, imgsz=imgsz),
    ]
    found_counts = counts(layout, labels)
    dataset = PreparedDataset(
        task=task,
        source=source if source.startswith("sample:") or is_address(source) else str(Path(source).absolute()),
        train_on=str(layout.source),
        names=layout.names,
        images={split: len(items) for split, items in layout.splits.items()},
        instances={split: one.instances for split, one in found_counts.splits.items() if split in layout.splits},
        fingerprint=_fingerprint(layout, image_facts, labels),
        notes=tuple(one.message for one in layout.findings if one.code == "file-converted"),
        findings=tuple(sorted(found, key=lambda finding: _BY_SEVERITY.index(finding.severity))),
        leaks=dict(leaks.shares),
        same_source=dict(leaks.sequence_shares),
        same_scene=dict(leaks.scene_shares),
    )
    return Gate(
        dataset=dataset, layout=layout, image_facts=image_facts, labels=labels, leaks=leaks, counts=found_counts
    )


def _with_format(layout: Layout) -> Layout:
    """Return a layout whose findings about missing labels name the other format that the labels have."""
    if not any(one.code == "file-no-labels" for one in layout.findings) or not (kind := named_format(layout)):
        return layout
    fix = f"the labels are {kind}, which Ultralytics does not read: yolosweep convert {layout.root} NEW_FOLDER"
    named = (one.model_copy(update={"fix": fix}) if one.code == "file-no-labels" else one for one in layout.findings)
    return replace(layout, findings=tuple(named))


def _without_repeats(layout: Layout, found: Sequence[Finding]) -> list[Finding]:
    """Return the findings about copies without those that two splits with the same images have twice.

    Where test is val, one warning takes the place of the leak: scores on test tell no more than those on val.
    """
    images = {split: {item.image for item in items} for split, items in layout.splits.items()}
    same = {b for a, b in (("train", "val"), ("train", "test"), ("val", "test")) if images.get(a) == images.get(b)}
    test_is_val = bool(images.get("test")) and images["test"] <= images.get("val", set())
    kept = [
        one
        for one in found
        if not (one.split in same and one.code.startswith("duplicate-"))
        and not (one.split == "test" and test_is_val and one.code.startswith("leak-"))
    ]
    if test_is_val:
        message = "test has images of val only: the winner is chosen on them, so the score on test is no test"
        kept.append(finding("split-test-is-val", message, split="test", count=len(images["test"])))
    return kept


def waive(gate: Gate, allow: Sequence[str]) -> PreparedDataset:
    """Return the dataset with the given codes waived, if it has no other errors.

    Args:
        gate: The examined dataset.
        allow: Codes of errors to waive.

    Raises:
        DataError: There are other errors; all are listed.
        UsageError: A code does not exist.
    """
    passed = with_waived(gate, allow)
    wrong = passed.errors
    if wrong:
        count = f"{len(wrong)} problem{'s' if len(wrong) != 1 else ''}"
        lines = [f"{gate.dataset.source} has {count}", *(f"  {described(finding)}" for finding in wrong)]
        options = " ".join(f"--allow {code}" for code in sorted({finding.code for finding in wrong}))
        raise DataError("\n".join([*lines, f"inspect them: yolosweep check; continue anyway: {options}"]))
    return passed.dataset


def with_waived(gate: Gate, allow: Sequence[str]) -> Gate:
    """Return the checked data with the given error codes waived, whatever other errors remain.

    Raises:
        UsageError: A code does not exist.
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
    """Return a finding in one line: code, message, file, fix."""
    place = f" ({finding.file}{f':{finding.line}' if finding.line else ''})" if finding.file else ""
    return f"{finding.code}: {finding.message}{place}" + (f"; {finding.fix}" if finding.fix else "")


def _within(layout: Layout, file: Path) -> str:
    """Return the last two parts of a path, or only the name of a file directly in the dataset's folder."""
    return file.name if file.parent in (layout.root, layout.source.parent) else f"{file.parent.name}/{file.name}"


def _fingerprint(layout: Layout, image_facts: Images, labels: Labels) -> str:
    """Return the SHA-256 of task, names, splits and file contents; of paths only the last two parts count.

    Those parts determine the order of the images, on which seeded training depends. The dataset's own folder is left
    out, so that it can be renamed.
    """
    digest = hashlib.sha256(json.dumps([layout.task, layout.names, layout.extra], sort_keys=True).encode())

    def line(item: Item) -> str:
        label = labels[item.label].sha256 if item.label is not None and item.label in labels else ""
        return f"{_within(layout, item.image)} {image_facts[item.image].sha256} {label or '-'}"

    for split, items in layout.splits.items():
        for text in sorted(line(item) for item in items):
            digest.update(f"{split} {text}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
