"""Frames of one source: video frames, bursts, augmented copies. They are not duplicates, but one split must hold them.

Two rules find them, and both need more than a name that looks like a number:

* Roboflow writes each augmented copy of ``photo.jpg`` as ``photo_jpg.rf.<hash>.jpg``: the same name before ``.rf.`` is
  the same source picture, however much the copies were changed.
* Files whose names differ in one number only make a series, in whatever folders they lie. Two of them are frames of
  one source if they are close in the series (at most twice its usual step apart, and at most two others between them)
  *and* look alike: their thumbnails correlate by 0.75 or more, and by more than 99 % of pairs from all over the same
  series do. So photos that were merely numbered, also of things that all look alike, are no burst.

Capture times (EXIF) are not used: exports of labelling tools do not keep them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolosweep.data.alike import Sets
from yolosweep.data.likeness import FLAT, compare, thumbs, traits

__all__ = ["sequences"]

ALIKE = 0.75
"""Least correlation of neighbouring frames. Of 39,060 pairs of blood-cell photos one in 3,000 has as much."""

_TRAITS_ALIKE = 0.4
"""Pairs whose traits are less alike are not compared closely: saves the time where numbers mean nothing."""

_STEPS = 2
_AHEAD = 3
"""How many usual steps, and how many files, a neighbour may be away."""

_SAMPLE = 400
_COPY = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}")
_NUMBER = re.compile(r"\d{1,18}")


def sequences(looks: Mapping[Path, str]) -> list[tuple[Path, ...]]:
    """Return groups of files that come from one source; sorted, each of two files or more.

    Args:
        looks: of every readable file, from :func:`yolosweep.data.likeness.look_of`.
    """
    files = sorted(looks)
    sets = Sets(len(files))
    names = [copy[1] if (copy := _COPY.fullmatch(file.stem)) else "" for file in files]
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name:
            sets.join(first.setdefault(name, index), index)
    usable = [index for index, file in enumerate(files) if looks[file] not in ("", FLAT)]
    place = {index: row for row, index in enumerate(usable)}
    pictures = thumbs([looks[files[index]] for index in usable])
    for series in _series({index: names[index] or files[index].stem for index in usable}):
        _join_frames(series, place, pictures, sets)
    groups: dict[int, list[Path]] = defaultdict(list)
    for index, file in enumerate(files):
        groups[sets.find(index)].append(file)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _series(stems: Mapping[int, str]) -> list[list[tuple[int, int]]]:
    """Return the series: (number, file) of the files whose names differ in that number only, in order.

    Any of a name's last three numbers may be the one that counts (``frame_0012_cam1``).
    """
    series: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, stem in stems.items():
        for number in list(_NUMBER.finditer(stem))[-3:]:
            series[stem[: number.start()], stem[number.end() :]].append((int(number[0]), index))
    return [sorted(members) for members in series.values() if len(members) > 1]


def _join_frames(series: Sequence[tuple[int, int]], place: Mapping[int, int], pictures: Any, sets: Sets) -> None:
    numbers = np.array([number for number, _ in series])
    rows = np.array([place[index] for _, index in series])
    steps = np.diff(numbers)
    reach = _STEPS * (int(np.median(steps[steps > 0])) if (steps > 0).any() else 0)
    least: float | None = None
    for ahead in range(1, min(_AHEAD, len(series) - 1) + 1):
        close = np.flatnonzero(numbers[ahead:] - numbers[:-ahead] <= reach)
        close = np.array(
            [k for k in close.tolist() if sets.find(series[k][1]) != sets.find(series[k + ahead][1])], dtype=int
        )
        for k, alike in zip(close.tolist(), _alike(pictures, rows[close], rows[close + ahead]), strict=True):
            if alike < ALIKE:
                continue
            least = _usual(pictures, rows) if least is None else least
            if alike > least:
                sets.join(series[k][1], series[k + ahead][1])


def _alike(pictures: Any, one: Any, two: Any) -> Any:
    """Return the correlation of pairs of thumbnails, given by their rows; 0 where it is not worth a close look."""
    result = np.zeros(len(one))
    for start in range(0, len(one), 4096):
        part = slice(start, start + 4096)
        left, right = pictures[one[part]], pictures[two[part]]
        look = np.einsum("pt,pt->p", traits(left), traits(right)) >= _TRAITS_ALIKE
        result[start : start + len(left)][look] = compare(left[look], right[look]).alike
    return result


def _usual(pictures: Any, rows: Any) -> float:
    """Return what 99 % of the pairs from all over a series have at most; 0 for a series too short to tell."""
    count = min(_SAMPLE, len(rows))
    if count < 40:
        return 0.0
    rng = np.random.default_rng(0)
    one = rng.integers(0, len(rows), count)
    far = rng.integers(len(rows) // 4, len(rows) - len(rows) // 4, count)
    return float(np.quantile(_alike(pictures, rows[one], rows[(one + far) % len(rows)]), 0.99))
