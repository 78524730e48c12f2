"""Label files, read by the rules Ultralytics reads them by: one row it cannot take loses the whole image.

The rules are those of ``ultralytics.data.utils.verify_image_label`` (8.4.190) and of what a task does with the result.
Nothing is repaired: trials train on what Ultralytics reads, so what it would drop without a word is an error here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from yolosweep.data.items import LabelFile, Problem, Row

__all__ = ["MISSING", "read_labels"]

MISSING = LabelFile(sha256="")
"""What stands for a label file that is not there."""

MOST_BYTES = 8 << 20
_OVER = 0.01
"""Ultralytics' tolerance: coordinates from -0.01 to 1.01 are taken."""
_PIXELS = 2.0
"""Coordinates above this were hardly meant as shares of the image."""
_EDGE = 0.002
"""How far a box may reach over the edge of its image before it is told; rounding makes less."""
_SHOWN = 60

Box = tuple[float, float, float, float]


class _Shape(NamedTuple):
    """What a row of numbers has to look like."""

    keypoints: int
    """Values per row after the box; 0 where the task has none."""
    dimensions: int
    """Values per keypoint."""
    polygons: bool
    """Whether the rows of this file are outlines."""


def read_labels(
    content: bytes, task: str, names: Mapping[int, str], kpt_shape: Sequence[int] | None = None
) -> LabelFile:
    """Return the objects of a label file and everything that is wrong with it.

    Args:
        content: the file.
        task: detect (boxes or outlines), segment (outlines), pose (boxes and keypoints), obb (four corners).
        names: classes by number.
        kpt_shape: number of keypoints, values of each (2 or 3), where the data.yaml says so.
    """
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > MOST_BYTES:
        return LabelFile(digest, (), (Problem("label-huge", None, f"{len(content) >> 20} MiB"),))
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return LabelFile(digest, (), (Problem("label-not-text", None, f"byte {error.start} is not UTF-8"),))
    words = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    keypoints = int(kpt_shape[0]) * int(kpt_shape[1]) if kpt_shape else 0
    if task != "pose" and keypoints:  # the keypoints of a set for pose are left out where boxes are trained
        words = [(number, row[:5] if len(row) == 5 + keypoints else row) for number, row in words]
    polygons = task != "pose" and any(len(row) > 6 for _, row in words)
    shape = _Shape(keypoints if task == "pose" else 0, int(kpt_shape[1]) if kpt_shape else 0, polygons)
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: set[tuple[float, ...]] = set()
    for number, row in words:
        found, wrong = _row(number, row, shape, task, names)
        problems += wrong
        if found is not None:
            same = (found.category, *found.box, *found.points)
            if same in seen:
                problems.append(Problem("label-duplicate-row", number, _shown(row)))
            else:
                rows.append(found)
            seen.add(same)
    return LabelFile(digest, tuple(rows), tuple(problems))


def _row(
    line: int, words: list[str], shape: _Shape, task: str, names: Mapping[int, str]
) -> tuple[Row | None, list[Problem]]:
    """Return one row, if it can be used, and what is wrong with it."""
    text = _shown(words)
    unread = _unread(words, names)
    if unread is not None:
        return None, [Problem(unread, line, text)]
    values = [float(word) for word in words]
    if not all(map(math.isfinite, values)):
        return None, [Problem("label-nan", line, text)]
    columns = _columns(len(values), shape, task)
    if columns is not None:
        return None, [Problem(columns, line, text)]
    number = values[0]
    if number % 1:
        return None, [Problem("label-class-fraction", line, text)]
    if int(number) not in names:
        return None, [Problem("label-class-range", line, f"class {int(number)}, known are 0 to {len(names) - 1}")]
    box = _around(values[1:]) if shape.polygons else (values[1], values[2], values[3], values[4])
    points = tuple(values[1:]) if shape.polygons else tuple(values[5:])
    told = list(_placed(values, box, points, shape))
    code = next((code for code in told if code in _FATAL), None)
    problems = [Problem(kind, line, text) for kind in told]
    return (None if code else Row(line, int(number), _clipped(box), points)), problems


_FATAL = ("label-pixels", "label-outside", "label-negative-size")


def _unread(words: Sequence[str], names: Mapping[int, str]) -> str | None:
    """Return the code of what keeps a row from being read as numbers."""
    for place, word in enumerate(words):
        try:
            float(word)
        except ValueError:
            if any("," in other or ";" in other for other in words):
                return "label-separator"
            return "label-class-name" if place == 0 and word in names.values() else "label-not-number"
    return None


def _columns(count: int, shape: _Shape, task: str) -> str | None:
    """Return the code of a wrong number of values."""
    if shape.polygons and count == 5:
        return "label-mixed"
    if shape.polygons:
        right = count % 2 == 1 and count >= 7 and (task != "obb" or count == 9)
    else:
        right = count == 5 + shape.keypoints and task not in ("segment", "obb")
    return None if right else "label-columns"


def _around(points: Sequence[float]) -> Box:
    """Return the box around an outline."""
    across, down = points[::2], points[1::2]
    left, right, top, bottom = min(across), max(across), min(down), max(down)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _placed(values: Sequence[float], box: Box, points: Sequence[float], shape: _Shape) -> Iterator[str]:
    """Yield what is to be said of where an object lies."""
    x, y, width, height = box
    if shape.keypoints:  # Ultralytics looks at the upper bound of keypoints only, at the lower of everything
        pairs = range(0, len(points), shape.dimensions)
        upper = [points[at + side] for at in pairs for side in (0, 1)]
        lower = [*box, *points]
    else:
        upper = lower = list(box)
    if max(upper) > 1 + _OVER or min(lower) < -_OVER:
        yield "label-pixels" if max(*map(abs, upper), *box) > _PIXELS else "label-outside"
        return
    if width < 0 or height < 0:
        yield "label-negative-size"
        return
    if max(upper) > 1 or min(lower) < 0:
        yield "label-rounding"
    if not width or not height:
        yield "label-zero-area"
    over = max(width / 2 - x, x + width / 2 - 1, height / 2 - y, y + height / 2 - 1)
    if over > _EDGE:
        yield "label-partly-outside"


def _clipped(box: Box) -> Box:
    """Return a box without what rounding put a hair outside of 0 to 1."""
    x, y, width, height = (min(max(value, 0.0), 1.0) for value in box)
    return x, y, width, height


def _shown(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
