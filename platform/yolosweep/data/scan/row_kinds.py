"""Rows of label files that other programs write: predictions, tracks, rotated boxes, keypoints, DOTA."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["is_dota_row", "row_kind"]

_BOX = 5
"""Columns of a box: class, center x, center y, width, height."""
_CORNERS = 9
_SEEN = (0.0, 1.0, 2.0)
"""Visibilities of a keypoint."""

Rows = Sequence[Sequence[float]]


def row_kind(lines: Sequence[Sequence[str]], task: str) -> str:
    """Return the code of what all rows of a file are; empty for rows of the task, mixed rows, or none.

    Args:
        lines: the words of each line that is not empty.
        task: ``detect``, ``segment``, ``pose`` or ``obb``.
    """
    rows = [words for words in lines if not _is_head(words)]
    if not rows:
        return ""
    if all(map(is_dota_row, rows)):
        return "label-dota"
    try:
        values = [[float(word) for word in words] for words in lines]
    except ValueError:
        return ""
    return next((code for code, fits in _KINDS.items() if fits(values, task)), "")


def is_dota_row(words: Sequence[str]) -> bool:
    """Return whether a row has four corners in pixels, a class name, and perhaps a difficulty."""
    if not _CORNERS <= len(words) <= _CORNERS + 1 or _number(words[_CORNERS - 1]) is not None:
        return False
    return all(_number(word) is not None for word in words[: _CORNERS - 1])


def _is_head(words: Sequence[str]) -> bool:
    return words[0].startswith(("imagesource:", "gsd:"))


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _confidence(rows: Rows, task: str) -> bool:
    """Ultralytics writes it last (``save_conf``): after a box, four corners, or a polygon of any length."""
    if not all(0 <= row[-1] <= 1 for row in rows):
        return False
    if task == "segment":
        return all(len(row) == _BOX + 1 or (len(row) > _BOX and len(row) % 2 == 0) for row in rows)
    return all(len(row) == (_CORNERS + 1 if task == "obb" else _BOX + 1) for row in rows)


def _track(rows: Rows, task: str) -> bool:
    """A tracker id is last, alone or after a confidence; one above 1 tells it from a coordinate."""
    widths = (_CORNERS + 1, _CORNERS + 2) if task == "obb" else (_BOX + 1, _BOX + 2)
    alike = len({len(row) for row in rows}) == 1 and len(rows[0]) in widths
    shares = all(0 <= value <= 1 for row in rows for value in row[1:_BOX])
    return (
        alike and shares and all(row[-1] % 1 == 0 and row[-1] >= 0 for row in rows) and any(row[-1] > 1 for row in rows)
    )


def _rotated(rows: Rows, task: str) -> bool:
    return task == "obb" and all(len(row) == _BOX + 1 for row in rows) and not _track(rows, "detect")


def _keypoints(rows: Rows, task: str) -> bool:
    """Keypoints of three values; under another task, where they cannot be a polygon."""
    count = len(rows[0])
    if task == "pose" or count < _BOX + 3 or (count - _BOX) % 3 or any(len(row) != count for row in rows):
        return False
    seen = [value for row in rows for value in row[_BOX + 2 :: 3]]
    return all(value in _SEEN for value in seen) and (count % 2 == 0 or max(seen) > 1)


_KINDS: dict[str, Callable[[Rows, str], bool]] = {
    "label-pose-rows": _keypoints,
    "label-xywhr": _rotated,
    "label-track": _track,
    "label-confidence": _confidence,
}
