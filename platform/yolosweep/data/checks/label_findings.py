"""Findings about the label files of a dataset, by code and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.data.checks.box_formats import counts_from_one, is_percent
from yolosweep.data.checks.stray_files import autolabel_findings, stray_file_findings
from yolosweep.data.model.dataset_items import Item, LabelFile, Labels, Layout
from yolosweep.data.model.finding_codes import CODES, TEXTS, finding
from yolosweep.data.scan.label_reading import TOLERANCE
from yolosweep.records import Finding, Severity

__all__ = ["label_findings"]

_STOPS = {"label-boxes-only"}
"""Ultralytics rejects the whole dataset for one such file."""

_EXPLAINED = {"label-pose-box", "label-unreadable", "label-too-big"}
"""Errors whose text already says what Ultralytics does."""

_SOME = 0.1
"""Share of images without a label file above which that is a warning."""

_MUCH = 0.05
"""Share of a split's rows above which boxes beyond the image are a warning."""

_CORNERS_LEAST, _CORNERS_SHARE = 20, 0.3
"""Least number of rows, and share of them beyond the image, for rows to be recognized as corners."""


_SINGULAR = {"have": "has", "are": "is", "do": "does", "mix": "mixes", "cannot": "cannot"}


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
    """Totals over the label files of one split."""

    images: int = 0
    folders: Counter[Path] = field(default_factory=Counter)
    """Images by the folder of their labels."""
    missing: list[Path] = field(default_factory=list)
    empty: int = 0
    rows: int = 0
    outside: int = 0
    as_corners: int = 0
    """Rows that are valid as left, top, right, bottom."""
    as_left_top: int = 0
    """Rows that are within the image as left, top, width, height."""
    boxed: Path | None = None
    """The first file with rows."""
    problems: dict[str, _Seen] = field(default_factory=dict)

    def add(self, path: Path, label: LabelFile) -> None:
        self.images += 1
        self.folders[path.parent] += 1
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
            self.as_left_top += not row.points and max(x + width, y + height) <= 1 + TOLERANCE
        for problem in label.problems:
            seen = self.problems.setdefault(problem.code, _Seen(path, problem.line, problem.detail))
            seen.rows += 1
        for code in {problem.code for problem in label.problems}:
            self.problems[code].files += 1


def label_findings(layout: Layout, labels: Labels) -> list[Finding]:
    """Return one finding per code and split, then those about other files next to the labels."""
    strays, from_one = stray_file_findings(layout), counts_from_one(layout, labels)
    orphans = next((one.count for one in strays if one.code == "label-orphan"), 0)
    found: list[Finding] = [*from_one]
    for split, items in layout.splits.items():
        whole = _Split()
        for path, label in _read(items, labels):
            whole.add(path, label)
        reported = any(one.code == "file-no-labels" and one.split == split for one in layout.findings)
        found += [] if reported else _absent(split, whole, orphans)
        if "label-pixels" in whole.problems and is_percent(items, labels):
            whole.problems["label-percent"] = whole.problems.pop("label-pixels")
        skipped = {"label-class-range"} if from_one else set()
        found += [
            _problem(code, seen, split, whole) for code, seen in sorted(whole.problems.items()) if code not in skipped
        ]
        found += _other_order(split, whole)
        found += autolabel_findings(split, items)
    return found + strays


def _read(items: tuple[Item, ...], labels: Mapping[Path, LabelFile]) -> Iterator[tuple[Path, LabelFile]]:
    for item in items:
        if item.label is not None and item.label in labels:
            yield item.label, labels[item.label]


def _lost(whole: _Split, orphans: int) -> str:
    """Return why the labels of images look lost, not absent: a whole folder has none, or others fit no image."""
    missing = Counter(path.parent for path in whole.missing)
    empty = [folder for folder, count in missing.items() if count == whole.folders[folder] and count > 1]
    if len(whole.missing) == whole.images:
        return "no other image has one"
    if empty and len(empty) < len(whole.folders):
        return f"no image whose labels belong into {empty[0]} has any"
    return f"{orphans} label files fit no image" if orphans else ""


def _absent(split: str, whole: _Split, orphans: int) -> list[Finding]:
    """Return findings about missing and empty label files."""
    missing, place = len(whole.missing), {"split": split}
    share = missing / max(whole.images, 1)
    head = f"{missing} of {whole.images} {split} images have no label file ({share:.0%})"
    lenient = {"severity": Severity.WARNING} if split == "test" else {}
    found = []
    lost = _lost(whole, orphans)
    if lost and share > _SOME:
        message = f"{head}, and {lost}: Ultralytics would train on them as images without objects"
        found.append(finding("label-missing", message, file=str(whole.missing[0]), count=missing, **place, **lenient))
    elif missing:
        message = f"{head}, and {whole.empty} have an empty one: they are trained on as images without objects"
        fix = "put label files there for those that have objects"
        more = {"severity": Severity.WARNING, "fix": fix} if share > _SOME else {}
        found.append(finding("label-background", message, file=str(whole.missing[0]), count=missing, **place, **more))
    if whole.images > missing and not whole.rows and not whole.problems:
        message = f"no {split} image has an object: " + (
            "there is nothing to learn" if split == "train" else "every score on it is 0"
        )
        found.append(finding("label-none", message, count=whole.images, **place, **lenient))
    return found


def _problem(code: str, seen: _Seen, split: str, whole: _Split) -> Finding:
    message = f"{seen.files} label files of {split} {TEXTS[code]}"
    if seen.files == 1:
        verb, rest = TEXTS[code].split(" ", 1)
        message = f"1 label file of {split} {_SINGULAR.get(verb, verb)} {rest}"
    if seen.rows > seen.files:
        message += f", in {seen.rows} lines"
    more = {}
    if code in _STOPS:
        message += ": Ultralytics rejects the whole dataset"
    elif CODES[code].severity is Severity.ERROR and code not in _EXPLAINED:
        share = seen.files / max(whole.images, 1)
        message += f": Ultralytics drops these images with all their objects ({share:.0%} of {split})"
    elif code == "label-partly-outside" and seen.rows > _MUCH * whole.rows and not _other_order(split, whole):
        more = {"severity": Severity.WARNING, "fix": "clip the boxes to the image"}
    if seen.detail:
        message += f"; first: {seen.detail}"
    return finding(code, message, file=str(seen.file), line=seen.line, split=split, count=seen.rows, **more)


def _other_order(split: str, whole: _Split) -> list[Finding]:
    """Return a warning if all rows are valid as corners, or as left and top, and many are not as center and size."""
    rows = whole.rows
    if rows < _CORNERS_LEAST or whole.outside < _CORNERS_SHARE * rows or not whole.boxed:
        return []
    if whole.as_corners == rows:
        code, order = "label-corners", "left, top, right, bottom"
    elif whole.as_left_top == rows:
        code, order = "label-left-top", "left, top, width, height"
    else:
        return []
    message = (
        f"the {rows} boxes of {split} look like {order}: read as center, width, height, "
        f"{whole.outside / rows:.0%} of them extend beyond the image"
    )
    return [finding(code, message, file=str(whole.boxed), split=split, count=rows)]
