"""Frames of one source: video frames, bursts, augmented copies. They are no duplicates, but must stay in one split.

Two rules find them:

* Roboflow writes each augmented copy of ``photo.jpg`` as ``photo_jpg.rf.<hash>.jpg``: the same name before ``.rf.`` is
  the same source image, however much the copies differ.
* Files whose names differ in one number form a series, in any folders. Two of them are frames of one source if they
  are close in the series (at most twice its usual step apart, with at most two others in between) *and* similar:
  their thumbnails, shifted by up to a third, correlate by 0.78 or more where they overlap, and by more than 99 % of
  the distant pairs of the same series. So photos that are merely numbered, even of similar objects, are no burst.
  Neither are photos whose names hold times that are more than a minute apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from yolosweep.data.duplicates.capture_times import capture_time
from yolosweep.data.duplicates.near_duplicates import DisjointSets
from yolosweep.data.duplicates.thumbnails import FLAT, SIDE, decode_signatures

__all__ = ["sequences"]

SIMILAR = 0.78
"""Least correlation of neighboring frames. A camera that moves by a tenth to a third of the image gives 0.84 or more
(280 blood-cell photos, cropped twice); one in 1,000 pairs of different photos has 0.70."""

_COARSE_SIMILAR = 0.6
"""Pairs less similar at half size are not compared closely, which saves time if numbers mean nothing."""

_BURST_S = 60
"""Frames of a burst follow each other at least so fast, where their names hold times."""

_STEPS = 2
_AHEAD = 3
"""Greatest distance of a neighbor, in usual steps and in files."""

_SAMPLE = 400
_COPY = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}")
_NUMBER = re.compile(r"\d{1,18}")


def sequences(signatures: Mapping[Path, str]) -> list[tuple[Path, ...]]:
    """Return groups of files from one source, sorted, each of two files or more.

    Args:
        signatures: Of every readable file, from :func:`yolosweep.data.duplicates.thumbnails.signature_of`.
    """
    files = sorted(signatures)
    sets = DisjointSets(len(files))
    names = [copy[1] if (copy := _COPY.fullmatch(file.stem)) else "" for file in files]
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name:
            sets.join(first.setdefault(name, index), index)
    usable = [index for index, file in enumerate(files) if signatures[file] not in ("", FLAT)]
    place = {index: row for row, index in enumerate(usable)}
    thumbnails = decode_signatures([signatures[files[index]] for index in usable])
    for series in _series({index: names[index] or files[index].stem for index in usable}):
        for part in _without_pauses(series, files):
            _join_frames(part, place, thumbnails, sets)
    return [tuple(files[index] for index in group) for group in sets.groups() if len(group) > 1]


def _series(stems: Mapping[int, str]) -> list[list[tuple[int, int]]]:
    """Return the series: sorted (number, file) of files whose names differ in that number only.

    Any of a name's last three numbers may be the counter (``frame_0012_cam1``).
    """
    series: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, stem in stems.items():
        for number in list(_NUMBER.finditer(stem))[-3:]:
            series[stem[: number.start()], stem[number.end() :]].append((int(number[0]), index))
    return [sorted(members) for members in series.values() if len(members) > 1]


def _without_pauses(series: Sequence[tuple[int, int]], files: Sequence[Path]) -> list[list[tuple[int, int]]]:
    """Divide a series where the times in the names are more than a minute apart."""
    parts: list[list[tuple[int, int]]] = []
    last: datetime | None = None
    for entry in series:
        time = capture_time(files[entry[1]])
        apart = time is not None and last is not None and abs((time - last).total_seconds()) > _BURST_S
        if apart or not parts:
            parts.append([])
        parts[-1].append(entry)
        last = time
    return [part for part in parts if len(part) > 1]


def _join_frames(
    series: Sequence[tuple[int, int]], place: Mapping[int, int], thumbnails: Any, sets: DisjointSets
) -> None:
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
        for k, similarity in zip(
            close.tolist(), _similarity(thumbnails, rows[close], rows[close + ahead]), strict=True
        ):
            if similarity < SIMILAR:
                continue
            least = _background_similarity(thumbnails, rows) if least is None else least
            if similarity > least:
                sets.join(series[k][1], series[k + ahead][1])


def _similarity(thumbnails: Any, one: Any, two: Any) -> Any:
    """Return the similarity of pairs of frames, given by their rows; below 0.6 it is a coarse estimate."""
    result = np.zeros(len(one))
    for start in range(0, len(one), 1024):
        part = np.arange(start, min(start + 1024, len(one)))
        left, right = thumbnails[one[part]].astype(np.float32), thumbnails[two[part]].astype(np.float32)
        result[part] = _shifted_correlation(_halved(left), _halved(right))
        close = result[part] >= _COARSE_SIMILAR
        result[part[close]] = _shifted_correlation(left[close], right[close])
    return result


def _halved(thumbnails: Any) -> Any:
    return thumbnails.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean((2, 4))


def _shifted_correlation(left: Any, right: Any) -> Any:
    """Return the best correlation of the overlapping parts over all shifts by up to a third of the side."""
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


def _background_similarity(thumbnails: Any, rows: Any) -> float:
    """Return the 99 % quantile of similarity over distant pairs of a series; 0 for a short series."""
    count = min(_SAMPLE, len(rows))
    if count < 40:
        return 0.0
    rng = np.random.default_rng(0)
    one = rng.integers(0, len(rows), count)
    far = rng.integers(len(rows) // 4, len(rows) - len(rows) // 4, count)
    return float(np.quantile(_similarity(thumbnails, rows[one], rows[(one + far) % len(rows)]), 0.99))
