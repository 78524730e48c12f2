"""Rows of label files that are known to have another order or unit, rewritten as Ultralytics reads them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from yolosweep.data.checks.label_findings import label_findings
from yolosweep.data.model.dataset_items import Item, LabelFile, Layout
from yolosweep.data.model.safe_paths import printable, read_regular
from yolosweep.data.scan.image_reading import size_of
from yolosweep.data.scan.label_reading import MOST_BYTES
from yolosweep.data.scan.reader_worker import Rules, read_label_file
from yolosweep.errors import DataError

__all__ = ["converted_rows"]

Values = list[float]
_BOX, _CORNERS = 5, 9

_OF_DATASET: dict[str, tuple[str, Callable[[Values], Values]]] = {
    "label-percent": ("percentages were divided by 100", lambda row: [row[0], *(value / 100 for value in row[1:])]),
    "label-left-top": (
        "left, top, width, height became center, width, height",
        lambda row: [row[0], row[1] + row[3] / 2, row[2] + row[4] / 2, *row[3:]],
    ),
    "label-corners": (
        "left, top, right, bottom became center, width, height",
        lambda row: [row[0], (row[1] + row[3]) / 2, (row[2] + row[4]) / 2, row[3] - row[1], row[4] - row[2]],
    ),
    "label-from-one": ("class numbers were lowered by 1", lambda row: [row[0] - 1, *row[1:]]),
}
"""Rewrites of all rows of a data set, by the code of the finding that recognizes them, in the order of application."""

_OF_FILE = {
    "label-confidence": "confidences were removed",
    "label-track": "tracker ids were removed",
    "label-pose-rows": "keypoints were removed",
    "label-xywhr": "center, size and angle became four corners",
    "label-dota": "DOTA's corners in pixels and class names became shares and numbers",
}
"""What is rewritten file by file, by the code of the problem."""


def converted_rows(layout: Layout) -> tuple[dict[Path, str], list[str]]:
    """Return the text of each image's labels, and what was rewritten, one sentence each.

    Images without a label file are left out.

    Raises:
        DataError: a row cannot be rewritten; the message names it.
    """
    shape = layout.extra.get("kpt_shape")
    rules = Rules(layout.task, layout.names, tuple(shape) if shape else None)
    items = [item for every in layout.splits.values() for item in every if item.label is not None]
    labels = {item.label: read_label_file(item.label, rules) for item in items if item.label is not None}
    codes = {found.code for found in label_findings(layout, labels)}
    steps = [_OF_DATASET[code] for code in _OF_DATASET if code in codes]
    done = Counter[str]()
    texts: dict[Path, str] = {}
    for item in items:
        label = labels[item.label] if item.label is not None else LabelFile("")
        if item.label is not None and label.sha256:
            texts[item.image] = _rewritten(item, item.label, label, steps, layout, done)
    return texts, [f"{what}, in {count} label files" for what, count in done.items()]


def _rewritten(
    item: Item,
    path: Path,
    label: LabelFile,
    steps: Sequence[tuple[str, Callable[[Values], Values]]],
    layout: Layout,
    done: Counter[str],
) -> str:
    text = read_regular(path, MOST_BYTES).decode("utf-8-sig", errors="replace")
    kind = next((problem.code for problem in label.problems if problem.code in _OF_FILE), "")
    if not steps and not kind:
        return text
    lines = []
    for number, words in enumerate((line.split() for line in text.splitlines()), 1):
        if not words or ":" in words[0]:
            continue
        try:
            row = _of_file(kind, words, item.image, layout.names)
            for _, step in steps:
                row = step(row)
        except (ValueError, IndexError, KeyError) as error:
            raise DataError(
                f"data: {path}:{number} cannot be converted: {printable(error)}; correct the line"
            ) from error
        lines.append(
            " ".join([f"{int(row[0])}", *(f"{value:.6f}".rstrip("0").rstrip(".") for value in row[1:])]) + "\n"
        )
    done.update(([_OF_FILE[kind]] if kind else []) + [what for what, _ in steps])
    return "".join(lines)


def _of_file(kind: str, words: Sequence[str], image: Path, names: Mapping[int, str]) -> Values:
    if kind == "label-dota":
        numbers = {name: number for number, name in names.items()}
        width, height = _size(image)
        corners = [float(word) / (width, height)[at % 2] for at, word in enumerate(words[: _CORNERS - 1])]
        return [float(numbers[words[_CORNERS - 1]]), *(min(max(value, 0.0), 1.0) for value in corners)]
    row = [float(word) for word in words]
    if kind == "label-xywhr":
        return _corners_of(row, _size(image))
    if kind in ("label-confidence", "label-track"):
        return row[: _CORNERS if len(row) in (_CORNERS + 1, _CORNERS + 2) else _BOX if len(row) <= _BOX + 2 else -1]
    return row[:_BOX] if kind == "label-pose-rows" else row


def _size(image: Path) -> tuple[int, int]:
    size = size_of(image)
    if size is None:
        raise ValueError(f"the size of {image} is unknown")
    return size


def _corners_of(row: Values, size: tuple[int, int]) -> Values:
    """Return class and corners of a rotated box; the angle is one in pixels, in radians, or in degrees above a turn."""
    x, y, width, height = (value * size[at % 2] for at, value in enumerate(row[1:_BOX]))
    angle = row[_BOX] if abs(row[_BOX]) <= 2 * math.pi else math.radians(row[_BOX])
    cos, sin = math.cos(angle), math.sin(angle)
    points: Values = [row[0]]
    for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        across, down = a * width / 2, b * height / 2
        points += [(x + across * cos - down * sin) / size[0], (y + across * sin + down * cos) / size[1]]
    return points
