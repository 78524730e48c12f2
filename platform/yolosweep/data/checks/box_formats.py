"""Box formats that only show over a whole data set: percent, left and top, class numbers that begin at 1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from yolosweep.data.model.dataset_items import Item, LabelFile, Labels, Layout
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import open_regular
from yolosweep.data.scan.image_reading import size_of
from yolosweep.records import Finding

__all__ = ["counts_from_one", "is_percent"]

_FILES, _BYTES = 50, 1 << 16
"""Label files that are read again, and how much of each."""
_WHOLE, _LEAST_SIDE = 101.0, 200
"""Highest edge in percent, with rounding, and the shorter side in pixels above which it cannot be one in pixels."""
_SHARE = 0.01
"""Least share of label files with the highest number: one alone may be a slip."""
_BOX = 5


def is_percent(items: Iterable[Item], labels: Labels) -> bool:
    """Return whether the coordinates of label files that have too large ones are percentages of the image."""
    pairs = [(item.image, item.label) for item in items if item.label is not None and item.label in labels]
    wrong = [(image, label) for image, label in pairs if _has(labels[label], "label-pixels")]
    most = 0.0
    for image, label in wrong[:_FILES]:
        size, rows = size_of(image), list(_rows(label))
        if size is None or min(size) < _LEAST_SIDE or not rows:
            return False
        for x, y, width, height in rows:
            most = max(most, x + width / 2, y + height / 2)
            if min(x, y, width, height) < 0 or most > _WHOLE:
                return False
    return bool(wrong) and most > _WHOLE / 2


def counts_from_one(layout: Layout, labels: Labels) -> list[Finding]:
    """Return the finding of class numbers from 1 to the number of classes, of which 0 is never used."""
    highest, read, files, first = len(layout.names), 0, 0, None
    for path in (item.label for items in layout.splits.values() for item in items):
        label = labels.get(path) if path is not None else None
        if label is None:
            continue
        beyond = {problem.detail for problem in label.problems if problem.code == "label-class-range"}
        if any(row.category == 0 for row in label.rows) or beyond - {f"class {highest} of {highest}"}:
            return []
        read += bool(label.rows or label.problems)
        files += bool(beyond)
        first = first or (path if beyond else None)
    if first is None or files < _SHARE * read:
        return []
    message = (
        f"the class numbers run from 1 to {highest}, and names: has 0 to {highest - 1}: read as they are, every object "
        f"would have the next class, and {files} label files are dropped"
    )
    return [finding("label-from-one", message, file=str(first), count=files)]


def _has(label: LabelFile, code: str) -> bool:
    return any(problem.code == code for problem in label.problems)


def _rows(path: Path) -> Iterator[Sequence[float]]:
    """Yield the boxes of a label file."""
    try:
        stream = open_regular(path)
        if stream is None:
            return
        with stream:
            text = stream.read(_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return
    for words in (line.split() for line in text.splitlines()):
        if len(words) == _BOX and all(re.fullmatch(r"[-+\d.eE]+", word) for word in words):
            yield [float(word) for word in words[1:]]
