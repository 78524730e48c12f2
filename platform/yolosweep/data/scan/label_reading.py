"""Reads one label file: its rows as Ultralytics reads them, and every problem in it.

``ultralytics.data.utils.verify_image_label`` determines the severity of a problem: one rejected row drops the whole
image, with at most one line in the log. Nothing is repaired here, since trials train on what Ultralytics reads.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from yolosweep.data.model.dataset_items import LabelFile, Problem, Row
from yolosweep.data.model.finding_codes import CODES
from yolosweep.data.scan.row_kinds import row_kind
from yolosweep.records import Severity

__all__ = ["MOST_BYTES", "MOST_PROBLEMS", "TOLERANCE", "dropped", "read_labels"]

MOST_BYTES = 8 << 20
"""A larger label file is not read: an image with 10,000 polygons needs less."""

MOST_PROBLEMS = 100
"""Problems of one kind kept per file."""

TOLERANCE = 0.01
"""How far outside 0 to 1 Ultralytics accepts a coordinate."""

_PIXELS = 2.0
"""From this value on, a coordinate cannot be meant as normalized."""

_WORDS = 6
"""Class names with this many words are not searched."""

_BOX = 5
"""Columns of a box: class, center x, center y, width, height."""


class _Rules(NamedTuple):
    task: str
    names: Mapping[int, str]
    keypoints: int
    dims: int
    polygons: bool
    """Whether Ultralytics reads this file as polygons: some row has more than six columns."""
    numbers: dict[str, int]
    """Class numbers by name; filled at the first name in a file."""

    @property
    def columns(self) -> int:
        return _BOX + self.keypoints * self.dims if self.task == "pose" else _BOX


class _Line(NamedTuple):
    number: int
    parts: Sequence[str]

    def problem(self, code: str, detail: str = "") -> Problem:
        return Problem(code, self.number, detail or _short(" ".join(self.parts)))


def read_labels(
    content: bytes, task: str, names: Mapping[int, str], kpt_shape: Sequence[int] | None = None
) -> LabelFile:
    """Return the usable rows of a label file and its problems, in line order.

    Values are 32-bit floats, as in Ultralytics, and boxes are clipped to 0 to 1. Duplicate rows are dropped. At most
    :data:`MOST_PROBLEMS` problems of each kind are kept.

    Args:
        content: The file's bytes.
        task: ``detect``, ``segment``, ``pose`` or ``obb``.
        names: Class names by number.
        kpt_shape: Number of keypoints, and 2 or 3 values for each.
    """
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > MOST_BYTES:
        return LabelFile(digest, problems=(Problem("label-too-big", None, f"{len(content):,} bytes"),))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return LabelFile(digest, problems=(Problem("label-encoding", line, "bytes that are not UTF-8"),))
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return LabelFile(digest, problems=(Problem("label-encoding", line, "binary content"),))
    lines = [_Line(n, parts) for n, line in enumerate(text.splitlines(), 1) if (parts := line.split())]
    keypoints, dims = kpt_shape or (0, 0)
    lines, problems = _without_keypoints(lines, task, keypoints, dims)
    if lines and (kind := row_kind([line.parts for line in lines], task)):
        return LabelFile(digest, problems=(lines[-1].problem(kind),))
    polygons = task != "pose" and any(len(line.parts) > _BOX + 1 for line in lines)
    rules = _Rules(task, names, keypoints, dims, polygons, {})
    problems += _shape_problems(lines, rules)
    rows, more = _rows(lines, rules)
    return LabelFile(digest, tuple(rows), _bounded([*problems, *more]))


def dropped(label: LabelFile) -> bool:
    """Return whether the label file has an error, so that its image is dropped or harmful."""
    return any(CODES[problem.code].severity is Severity.ERROR for problem in label.problems)


def _without_keypoints(lines: list[_Line], task: str, keypoints: int, dims: int) -> tuple[list[_Line], list[Problem]]:
    """Reduce pose rows to their boxes if the task has no keypoints, as Ultralytics does."""
    long = _BOX + keypoints * dims
    if task == "pose" or not keypoints or not (cut := [line for line in lines if len(line.parts) == long]):
        return lines, []
    kept = [line._replace(parts=line.parts[:_BOX]) if len(line.parts) == long else line for line in lines]
    return kept, [cut[0].problem("label-keypoints-unused", f"{len(cut)} rows")]


def _shape_problems(lines: list[_Line], rules: _Rules) -> list[Problem]:
    """Return the problem of a file whose rows have the wrong kind of shape."""
    boxes = [line for line in lines if len(line.parts) == _BOX]
    if rules.polygons and boxes:
        return [boxes[0].problem("label-mixed", f"{len(boxes)} boxes among {len(lines)} rows")]
    if rules.polygons and rules.task == "detect":
        return [lines[0].problem("label-polygon-as-box", f"{len(lines)} polygons")]
    if boxes and rules.task in ("segment", "obb") and len(boxes) == len(lines):
        return [boxes[0].problem("label-boxes-only", f"{len(boxes)} boxes")]
    return []


def _rows(lines: Iterable[_Line], rules: _Rules) -> tuple[list[Row], list[Problem]]:
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: set[bytes] = set()
    beyond: list[Problem] = []
    highest = 0.0
    for line in lines:
        values, wrong = _values(line, rules)
        if wrong:
            problems.append(wrong)
            continue
        if values is None:
            continue
        box, high, wrong = _box(line, values, rules)
        if wrong:
            (beyond if wrong.code == "label-outside" else problems).append(wrong)
            highest = max(highest, high)
        elif (key := values.tobytes()) in seen:
            problems.append(line.problem("label-duplicate-row"))
        else:
            seen.add(key)
            problems += _remarks(line, box, values, rules)
            points = values[1:] if rules.polygons else values[_BOX:]
            clipped = (_clip(box[0]), _clip(box[1]), _clip(box[2]), _clip(box[3]))
            rows.append(Row(line.number, int(values[0]), clipped, tuple(points)))
    if beyond and highest >= _PIXELS and len(beyond) >= len(rows):
        beyond = [beyond[0]._replace(code="label-pixels")]
    return rows, problems + beyond


def _values(line: _Line, rules: _Rules) -> tuple[array[float] | None, Problem | None]:
    """Return a row's numbers, class first; None without a problem if a file-level problem covers the row."""
    try:
        values = array("f", map(float, line.parts))
    except ValueError:
        return None, _no_number(line, rules)
    if not isfinite(sum(values)):
        return None, line.problem("label-nan")
    count = len(values)
    if rules.polygons and count == _BOX:
        return None, None
    if (count % 2 == 0 or count < 3) if rules.polygons else count != rules.columns:
        wanted = "a class and pairs of x and y" if rules.polygons else f"{rules.columns}"
        return None, line.problem("label-columns", f"{count} columns, not {wanted}: {_short(' '.join(line.parts))}")
    if values[0] % 1:
        return None, line.problem("label-class-fraction")
    if not 0 <= values[0] < len(rules.names):
        return None, line.problem("label-class-range", f"class {values[0]:.0f} of {len(rules.names)}")
    return values, None


def _no_number(line: _Line, rules: _Rules) -> Problem:
    """Return the problem of a row that does not consist of numbers."""
    if not rules.numbers:
        rules.numbers.update((" ".join(name.split()), number) for number, name in rules.names.items())
    starts = (" ".join(line.parts[:words]) for words in range(1, min(len(line.parts), _WORDS)))
    for start in starts:
        if start in rules.numbers and not _numeric(start.split()):
            return line.problem("label-class-name", f"{_short(start)} is class {rules.numbers[start]}")
    text = " ".join(line.parts)
    if _numeric(text.replace(",", " ").replace(";", " ").split()):
        return line.problem("label-separator")
    if not _numeric(line.parts[:1]) and _numeric(line.parts[1:]) and len(line.parts) >= _BOX:
        return line.problem("label-class-name", f"{_short(line.parts[0])} is not in names:")
    return line.problem("label-not-number")


def _box(line: _Line, values: array[float], rules: _Rules) -> tuple[array[float], float, Problem | None]:
    """Return a row's box, the largest coordinate that Ultralytics checks, and why it rejects the row."""
    if rules.polygons:
        left, right, top, bottom = _extent(values[1:])
        box = array("f", ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))
    else:
        box = values[1:_BOX]
    high, low = max(box), min(box)
    if rules.task == "pose":  # of its box, only the lower bound is checked
        points = values[_BOX:]
        high = max((points[at] for at in range(len(points)) if at % rules.dims < 2), default=high)
        low = min(low, *points) if points else low
    if min(box[2], box[3]) < 0:
        return box, 0.0, line.problem("label-negative-size")
    if high > 1 + TOLERANCE or low < -TOLERANCE:
        return box, high, line.problem("label-outside")
    if max(box) > 1 + TOLERANCE:
        return box, 0.0, line.problem("label-pose-box")
    return box, high, None


def _remarks(line: _Line, box: array[float], values: array[float], rules: _Rules) -> list[Problem]:
    """Return the problems of a row that Ultralytics accepts."""
    found = []
    x, y, width, height = box
    if width == 0 or height == 0:
        found.append(line.problem("label-zero-area"))
    if rules.polygons and rules.task == "obb" and len(values) != 9:
        found.append(line.problem("label-obb-corners", f"{len(values) // 2} points"))
    edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    given, pose = values[1:], rules.task == "pose"
    if min(edges) < -TOLERANCE or max(edges) > 1 + TOLERANCE:
        found.append(line.problem("label-partly-outside"))
    elif min(given) < 0 or max(box if pose else given) > 1 or (pose and _above(values[_BOX:], rules.dims)):
        found.append(line.problem("label-rounding"))
    return found


def _above(points: array[float], dims: int) -> bool:
    return any(points[at] > 1 for at in range(len(points)) if at % dims < 2)


def _extent(points: array[float]) -> tuple[float, float, float, float]:
    across, down = points[0::2], points[1::2]
    return min(across), max(across), min(down), max(down)


def _numeric(parts: Sequence[str]) -> bool:
    try:
        return bool([float(part) for part in parts])
    except ValueError:
        return False


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _short(text: str) -> str:
    """Return untrusted text on one line of at most 60 characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:61])
    return text if len(text) <= 60 else text[:59] + "…"


def _bounded(problems: list[Problem]) -> tuple[Problem, ...]:
    count: Counter[str] = Counter()
    kept = []
    for problem in sorted(problems, key=lambda one: (one.line or 0, one.code)):
        count[problem.code] += 1
        if count[problem.code] <= MOST_PROBLEMS:
            kept.append(problem)
    return tuple(kept)
