"""What the label files of a dataset mean for a training, put together by kind and split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.data.checks.image_findings import shown
from yolosweep.data.checks.stray_files import machine_findings, stray_file_findings
from yolosweep.data.model.finding_codes import CODES, finding
from yolosweep.data.model.items import Item, LabelFile, Labels, Layout
from yolosweep.data.scan.label_reading import TOLERANCE
from yolosweep.records import Finding, Severity

__all__ = ["label_findings"]

_SAID = {
    "label-class-range": "have a class number that names: does not have",
    "label-class-name": "have a name where the class number should be",
    "label-class-fraction": "have a class number that is not whole",
    "label-columns": "have a wrong number of columns",
    "label-not-number": "hold something that is not a number",
    "label-separator": "have commas or semicolons",
    "label-nan": "have values that are not finite (NaN, infinity)",
    "label-negative-size": "have a negative width or height",
    "label-outside": "have coordinates above 1.01 or below -0.01",
    "label-pixels": "give pixels instead of shares of the image",
    "label-mixed": "mix boxes with polygons",
    "label-boxes-only": "give boxes where the task needs polygons or corners",
    "label-pose-box": "have a box above 1 with keypoints below: Ultralytics does not check it, and trains on it",
    "label-encoding": "are not plain text",
    "label-too-big": "are too large to be label files, and were not read",
    "label-unreadable": "cannot be read, so their images count as having no objects, or are left out",
    "label-zero-area": "have boxes without an area: no model can find them",
    "label-obb-corners": "have other than four corners: the smallest box around them is trained on",
    "label-partly-outside": "have boxes that reach out of the image: a predicted box cannot match them well",
    "label-rounding": "have values a hair outside of 0 to 1: they count as 0 or 1",
    "label-duplicate-row": "have rows twice: Ultralytics takes them once",
    "label-polygon-as-box": "give polygons: the boxes around them are trained on",
    "label-keypoints-unused": "give keypoints: only their boxes are trained on",
}

_STOPS = {"label-boxes-only"}
"""Ultralytics refuses the whole dataset for one such file."""

_OWN_WORDS = {"label-pose-box", "label-unreadable", "label-too-big"}

_MUCH = 0.05
"""Share of a split's rows from which boxes that reach out of the image are a warning."""

_CORNERS_LEAST, _CORNERS_SHARE = 20, 0.3
"""Rows, and share of them reaching out of the image, from which corners are taken for what they are."""


@dataclass
class _Seen:
    """One kind of problem in one split."""

    file: Path
    line: int | None
    detail: str
    files: int = 0
    rows: int = 0


@dataclass
class _Split:
    """What the label files of one split amount to."""

    images: int = 0
    missing: list[Path] = field(default_factory=list)
    empty: int = 0
    rows: int = 0
    outside: int = 0
    as_corners: int = 0
    """Rows that could be left, top, right, bottom."""
    boxed: Path | None = None
    """The first file with rows."""
    problems: dict[str, _Seen] = field(default_factory=dict)

    def add(self, path: Path, label: LabelFile) -> None:
        self.images += 1
        if not label.sha256 and not label.problems:
            self.missing.append(path)
        elif not label.rows and not label.problems:
            self.empty += 1
        elif label.rows:
            self.boxed = self.boxed or path
        self.rows += len(label.rows)
        for row in label.rows:
            x, y, width, height = row.box
            self.outside += max(abs(x - 0.5) + width / 2, abs(y - 0.5) + height / 2) > 0.5 + TOLERANCE
            self.as_corners += not row.points and width > x and height > y
        for problem in label.problems:
            seen = self.problems.setdefault(problem.code, _Seen(path, problem.line, problem.detail))
            seen.rows += 1
        for code in {problem.code for problem in label.problems}:
            self.problems[code].files += 1


def label_findings(layout: Layout, labels: Labels) -> list[Finding]:
    """Return one finding for each code and split that occurs, then those about other files beside the labels."""
    found: list[Finding] = []
    for split, items in layout.splits.items():
        whole = _Split()
        for path, label in _read(items, labels):
            whole.add(path, label)
        told = any(one.code == "file-no-labels" and one.split == split for one in layout.findings)
        found += [] if told else _absent(split, whole)
        found += [_problem(code, seen, split, whole) for code, seen in sorted(whole.problems.items())]
        found += _corners(split, whole)
        found += machine_findings(split, items)
    return found + stray_file_findings(layout)


def _read(items: tuple[Item, ...], labels: Mapping[Path, LabelFile]) -> Iterator[tuple[Path, LabelFile]]:
    for item in items:
        if item.label is not None and item.label in labels:
            yield item.label, labels[item.label]


def _absent(split: str, whole: _Split) -> list[Finding]:
    """Return what it means that label files are missing or empty."""
    missing, place = len(whole.missing), {"split": split}
    share = missing / max(whole.images, 1)
    head = f"{missing} of {whole.images} {split} images have no label file ({share:.0%})"
    lenient = {"severity": Severity.WARNING} if split == "test" else {}
    found = []
    if share > 0.5:
        message = f"{head}: Ultralytics takes them for images without objects"
        found.append(finding("label-missing", message, file=shown(whole.missing[0]), count=missing, **place, **lenient))
    elif missing:
        message = f"{head}, and {whole.empty} an empty one: they are trained on as images without objects"
        more = {"severity": Severity.WARNING, "fix": CODES["label-missing"].fix} if share > 0.1 else {}
        found.append(finding("label-background", message, file=shown(whole.missing[0]), count=missing, **place, **more))
    if whole.images > missing and not whole.rows and not whole.problems:
        message = f"no {split} image has an object: " + (
            "there is nothing to learn" if split == "train" else "every score on it is 0"
        )
        found.append(finding("label-none", message, count=whole.images, **place, **lenient))
    return found


def _problem(code: str, seen: _Seen, split: str, whole: _Split) -> Finding:
    message = f"{_count(seen.files, 'label file')} of {split} {_SAID[code]}"
    if seen.rows > seen.files:
        message += f", in {seen.rows} lines"
    more = {}
    if code in _STOPS:
        message += ": Ultralytics refuses the whole dataset"
    elif CODES[code].severity is Severity.ERROR and code not in _OWN_WORDS:
        share = seen.files / max(whole.images, 1)
        message += f": Ultralytics leaves out these images with all their objects ({share:.0%} of {split})"
    elif code == "label-partly-outside" and seen.rows > _MUCH * whole.rows:
        more = {"severity": Severity.WARNING, "fix": "clip the boxes to the image"}
    if seen.detail:
        message += f"; the first: {seen.detail}"
    return finding(code, message, file=shown(seen.file), line=seen.line, split=split, count=seen.rows, **more)


def _corners(split: str, whole: _Split) -> list[Finding]:
    """Return a warning where all rows make sense as corners and many make none as middle and size."""
    rows = whole.rows
    if rows < _CORNERS_LEAST or whole.as_corners < rows or whole.outside < _CORNERS_SHARE * rows or not whole.boxed:
        return []
    message = (
        f"the {rows} boxes of {split} look like left, top, right, bottom: read as middle, width, height, "
        f"{whole.outside / rows:.0%} of them reach out of the image"
    )
    return [finding("label-corners", message, file=shown(whole.boxed), split=split, count=rows)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
