"""Frames of one source: video frames, bursts, augmented copies. They are not duplicates, but one split must hold them.

Two rules find them, and both need more than a name that looks like a number:

* Roboflow writes each augmented copy of ``photo.jpg`` as ``photo_jpg.rf.<hash>.jpg``: the same name before ``.rf.`` is
  the same source picture, however much the copies were changed.
* Files whose names differ in one number only make a series, in whatever folders they lie. Two of them are frames of
  one source if they are close in the series (at most twice its usual step apart, and at most two others between them)
  *and* look alike: their thumbnails, one moved over the other by up to a third, correlate by 0.78 or more where they
  overlap, and by more than 99 % of pairs from all over the same series do. So photos that were merely numbered, also
  of things that all look alike, are no burst.

Capture times (EXIF) are not used: exports of labelling tools do not keep them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolosweep.data.duplicates.near_duplicates import Sets
from yolosweep.data.duplicates.signatures import FLAT, SIDE, thumbs

__all__ = ["sequences"]

ALIKE = 0.78
"""Least correlation of neighbouring frames. For a camera that moves by a tenth to a third of the picture it is 0.84 or
more (280 blood-cell photos, cut out twice); of pairs of different photos one in 1,000 has 0.70."""

_COARSE_ALIKE = 0.6
"""Pairs that are less alike at half the size are not compared closely: saves the time where numbers mean nothing."""

_STEPS = 2
_AHEAD = 3
"""How many usual steps, and how many files, a neighbour may be away."""

_SAMPLE = 400
_COPY = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}")
_NUMBER = re.compile(r"\d{1,18}")


def sequences(looks: Mapping[Path, str]) -> list[tuple[Path, ...]]:
    """Return groups of files that come from one source; sorted, each of two files or more.

    Args:
        looks: of every readable file, from :func:`yolosweep.data.duplicates.signatures.signature_of`.
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
    """Return how alike pairs of frames are, given by their rows; less than 0.6 is not measured closely."""
    result = np.zeros(len(one))
    for start in range(0, len(one), 1024):
        part = np.arange(start, min(start + 1024, len(one)))
        left, right = pictures[one[part]].astype(np.float32), pictures[two[part]].astype(np.float32)
        result[part] = _moved(_halved(left), _halved(right))
        close = result[part] >= _COARSE_ALIKE
        result[part[close]] = _moved(left[close], right[close])
    return result


def _halved(pictures: Any) -> Any:
    return pictures.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean((2, 4))


def _moved(left: Any, right: Any) -> Any:
    """Return the correlation of pictures where they overlap, in the best of all shifts by up to a third of the side."""
    side = left.shape[1]
    best = np.full(len(left), -1.0, np.float32)
    for down in range(-side // 3, side // 3 + 1):
        for across in range(-side // 3, side // 3 + 1):
            one = left[:, max(0, down) : side + min(0, down), max(0, across) : side + min(0, across)]
            two = right[:, max(0, -down) : side + min(0, -down), max(0, -across) : side + min(0, -across)]
            one, two = (values - values.mean((1, 2), keepdims=True) for values in (one, two))
            size = np.sqrt(np.einsum("pxy,pxy->p", one, one) * np.einsum("pxy,pxy->p", two, two))
            best = np.maximum(best, np.einsum("pxy,pxy->p", one, two) / np.maximum(size, 1e-6))
    return best


def _usual(pictures: Any, rows: Any) -> float:
    """Return what 99 % of the pairs from all over a series have at most; 0 for a series too short to tell."""
    count = min(_SAMPLE, len(rows))
    if count < 40:
        return 0.0
    rng = np.random.default_rng(0)
    one = rng.integers(0, len(rows), count)
    far = rng.integers(len(rows) // 4, len(rows) - len(rows) // 4, count)
    return float(np.quantile(_alike(pictures, rows[one], rows[(one + far) % len(rows)]), 0.99))
