"""The search for pictures that are in a data set more than once: as such, or changed a little."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolosweep.data.duplicates.signatures import FLAT, compare, flipped, parities, pixels_of, thumbs, traits

__all__ = ["EXACT", "NEAR", "Pair", "find_near_duplicates", "joined"]

EXACT, NEAR = "exact", "near"

Array = np.ndarray[Any, Any]

CANDIDATE = 0.72
"""Product of traits from which a pair is looked at closely."""

EXPLAINED, DETAIL, SPOT = 0.88, 0.75, 0.8
"""A pair is a near duplicate if so much of one is explained by the other, as a whole and in detail, and no spot differs
more; see :func:`find_near_duplicates` for how they were chosen."""

_ROUNDING = 12
"""Thumbnails that differ by no more grey levels may be of the same pixels (one may come from a reduced decode)."""

_MOST = 8
"""Candidates kept of each picture: bounds the work where everything looks like everything."""

_TILE = 512
"""Pictures compared with as many at a time: a tile of products stays in the processor's cache."""


class Pair(NamedTuple):
    """Two files that show the same picture, or frames of the same scene."""

    first: Path
    second: Path
    kind: str
    """``exact``, ``near`` or ``sequence``."""


class Sets:
    """Disjoint sets of the numbers below ``size`` (Tarjan 1975)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, item: int) -> int:
        """Return the number that stands for an item's set."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    def join(self, one: int, two: int) -> None:
        """Make one set of two items' sets."""
        low, high = sorted((self.find(one), self.find(two)))
        self._parent[high] = low


def joined(pairs: Iterable[Pair]) -> list[tuple[Path, ...]]:
    """Return the groups that pairs make of files, directly or through others; sorted, each of two files or more."""
    pairs = list(pairs)
    files = sorted({file for pair in pairs for file in pair[:2]})
    number = {file: index for index, file in enumerate(files)}
    sets = Sets(len(files))
    for pair in pairs:
        sets.join(number[pair.first], number[pair.second])
    groups: dict[int, list[Path]] = {}
    for index, file in enumerate(files):
        groups.setdefault(sets.find(index), []).append(file)
    return [tuple(group) for group in groups.values()]


def find_near_duplicates(
    looks: Mapping[Path, str],
    digests: Mapping[Path, str],
    pixels: Callable[[Path], str] = pixels_of,
) -> list[Pair]:
    """Return pairs of files with the same picture, enough of them to join all that belong together.

    *Exact*: the same bytes, or the same decoded pixels (only files that look the same are decoded for that).
    *Near*: the same picture resized, recompressed, brightened, mirrored, or cropped by up to a tenth. Candidates come
    from the product of traits, of whole pictures and of corner crops, in all four mirrorings, for all pairs; what is
    kept was compared closely (``signatures.compare``): one explains 0.88 of the other (light and
    shade), 0.75 of its detail, and no eighth of the side differs by more than 0.8 standard deviations: frames of a
    scene in which something moved are not near duplicates. Measured on 280 blood-cell photos, all of one kind: copies
    changed in 23 of those ways explain 0.95 or more, 0.84 in detail, and differ by 0.55 at most; of the 39,060 pairs,
    two fields that were photographed twice apart, the closest explain 0.80, 0.56 in detail, and differ by 1.18 or more.
    Pictures of one colour are compared by their bytes only.

    Memory is about two kilobytes for each file. Time grows with the square of the number of files.

    Args:
        looks: of every readable file, from :func:`yolosweep.data.duplicates.signatures.signature_of`.
        digests: SHA-256 of the same files.
        pixels: hash of a file's decoded pixels; empty if it cannot be decoded.
    """
    first: dict[str, Path] = {}
    pairs: list[Pair] = []
    for file in sorted(digests):
        same = first.setdefault(digests[file], file)
        if same != file:
            pairs.append(Pair(same, file, EXACT))
    files = [file for file in sorted(first.values()) if looks.get(file, "") not in ("", FLAT)]
    seen: dict[Path, str] = {}

    def pixels_once(file: Path) -> str:
        if file not in seen:
            seen[file] = pixels(file)
        return seen[file]

    for one, two, same_look in _near(thumbs([looks[file] for file in files])):
        a, b = files[one], files[two]
        identical = same_look and pixels_once(a) == pixels_once(b) != ""
        pairs.append(Pair(a, b, EXACT if identical else NEAR))
    return sorted(pairs)


def _near(pictures: Array) -> Iterator[tuple[int, int, bool]]:
    """Yield pairs that are near duplicates, and whether their thumbnails are the same but for rounding."""
    from threadpoolctl import threadpool_limits

    # One thread for each part of the work: the matrices are too small to be shared by the library's own threads, which
    # then wait for each other most of the time.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        pairs, flips = _candidates(pictures, pool)
        sets = Sets(len(pictures))
        for start in range(0, len(pairs), 2048):
            chunk = np.arange(start, min(start + 2048, len(pairs)))
            chunk = chunk[[sets.find(one) != sets.find(two) for one, two in pairs[chunk].tolist()]]
            parts = [chunk[k : k + 256] for k in range(0, len(chunk), 256)]
            seconds = (flipped(pictures[pairs[part, 1]], flips[part]) for part in parts)
            compared = pool.map(compare, [pictures[pairs[part, 0]] for part in parts], seconds)
            for part, found in zip(parts, compared, strict=True):
                near = (found.explained >= EXPLAINED) & (found.detail >= DETAIL) & (found.spot <= SPOT)
                for one, two in pairs[part[near]].tolist():
                    sets.join(one, two)
                    apart = np.abs(pictures[one].astype(int) - pictures[two]).max()
                    yield one, two, bool(apart <= _ROUNDING)


_HIT = np.dtype([("row", np.int32), ("column", np.int32), ("flip", np.int8), ("alike", np.float32)])


def _candidates(pictures: Array, pool: Executor) -> tuple[Array, Array]:
    """Return pairs worth comparing, shape (m, 2), the most alike first, and how to mirror the second of each."""
    whole = traits(pictures)
    found = [np.empty(0, _HIT)]
    for crop in range(5):
        rows = traits(pictures, crop) if crop else whole
        starts = range(0, len(rows), _TILE)
        strips = [rows[start : start + _TILE] for start in starts]
        found += pool.map(partial(_hits, columns=whole, halved=not crop), strips, starts)
    hits = np.concatenate(found)
    hits = hits[np.argsort(-hits["alike"], kind="stable")]
    pairs = np.sort(np.stack([hits["row"], hits["column"]], axis=1), axis=1)
    once = np.sort(np.unique(pairs.astype(np.int64) @ [len(whole), 1], return_index=True)[1])
    once = once[_ranks(pairs[once, 0]) < _MOST]
    return pairs[once], hits["flip"][once]


def _ranks(values: Array) -> Array:
    """Return for each value how many of the same came before it."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values), dtype=int)
    ranks[order] = np.arange(len(values)) - np.searchsorted(values[order], values[order])
    return ranks


def _hits(rows: Array, start: int, *, columns: Array, halved: bool) -> Array:
    """Return the best few columns of each row; ``halved`` leaves out those before the row."""
    odd, sideways, upward = parities()
    mirrored = rows.copy()
    mirrored[:, odd:sideways] *= -1
    mirrored[:, upward:] *= -1
    found = [np.empty(0, _HIT)]
    numbers = np.arange(start, start + len(rows))[:, None]
    for left in range(start // _TILE * _TILE if halved else 0, len(columns), _TILE):
        part = columns[left : left + _TILE]
        # Of two mirrorings that differ in the sign of the odd part, the better one has its absolute value.
        for given, flips in ((rows, (0, 3)), (mirrored, (2, 1))):
            swing = given[:, sideways:] @ part[:, sideways:].T
            alike = given[:, :sideways] @ part[:, :sideways].T
            alike += np.abs(swing)
            if left < start + len(rows):
                others = np.arange(left, left + len(part))[None]
                alike[(others <= numbers) if halved else (others == numbers)] = -1
            if alike.max() >= CANDIDATE:
                row, column = _best_of(alike)
                flip = np.where(swing[row, column] >= 0, *flips)
                found.append(_packed(row + start, column + left, flip, alike[row, column]))
    hits = np.concatenate(found)
    hits = hits[np.argsort(-hits["alike"], kind="stable")]
    return hits[_ranks(hits["row"]) < _MOST]


def _best_of(alike: Array) -> tuple[Array, Array]:
    """Return rows and columns of the values that make candidates, at most a few in each row."""
    if np.count_nonzero(alike >= CANDIDATE) <= _MOST * len(alike):
        row, column = np.nonzero(alike >= CANDIDATE)
        return row, column
    best = np.argpartition(alike, -min(_MOST, alike.shape[1]), axis=1)[:, -_MOST:]
    row, rank = np.nonzero(np.take_along_axis(alike, best, axis=1) >= CANDIDATE)
    return row, best[row, rank]


def _packed(row: Array, column: Array, flip: Array, alike: Array) -> Array:
    hits = np.empty(len(row), _HIT)
    hits["row"], hits["column"], hits["flip"], hits["alike"] = row, column, flip, alike
    return hits
