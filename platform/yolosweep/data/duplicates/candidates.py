"""Pairs of pictures that may be the same, found among millions by their thumbnails."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from yolosweep.data.duplicates.features import (
    BANDS,
    CORNERS,
    CROPS,
    HALVES,
    MIDDLE,
    ROTATED,
    WHOLE,
    Window,
    correlations,
    features,
    parities,
    sampled,
    transposed,
    turns_of,
    unit,
)
from yolosweep.data.duplicates.signatures import DEVIATION, SIDE

__all__ = ["Candidates", "candidates"]

Array = np.ndarray[Any, Any]

LEAST, HALF = 0.66, 0.85
"""Product of features from which a pair is compared closely; the same for the halves of images, where one half may be
covered. Of photos of one kind (BCCD), one unrelated pair in 200 reaches the first."""

THOROUGH = 20_000
"""Up to so many images, crops of a fifth or more, small rotations and negatives are sought, too: 2 ms an image."""

_MOST = 3
"""Candidates kept per image; bounds the work if all images are similar. A pair is kept for either of its images: many
pictures with the same banner must not crowd out the original of each."""

_KEPT_ALWAYS, _ALIGNED_OF_FEW = 600, 300
"""In small data sets more are kept, and aligned: about so many pairs."""

_COMPARED, _COMPARED_ALWAYS = 8, 10_000
"""Hits whose thumbnails are compared, per image (half as many in large sets), and in any data set."""

_HITS = 4
"""Hits per image and comparison."""

_TILE = 256
"""Images compared per tile; the products of one tile fit in the processor's cache."""

_ALWAYS, _ALIGNED_ALWAYS, _ALIGNED_SHARE = 300, 200, 0.125
"""Pairs of a data set that are read, and aligned by keypoints, the most costly comparison, whatever their thumbnails
say, the most similar ones; and aligned ones per image."""

_ALIGNED = 2
"""Candidates per image that are aligned."""

_CLEAR = 0.95
"""From this correlation on, crops are not compared."""

_TOLERANCE, _ROUNDS = 0.25, 3
"""Pixels of thumbnails agree within this share of a deviation, after fitting gain and offset to the better half."""


class _Limits(NamedTuple):
    """How similar thumbnails must be for their files to be read."""

    whole: float
    """Correlation in one of the eight ways to turn them."""
    share: float
    """Share of the pixels that agree."""
    half: float
    """Correlation of a half."""
    part: float
    """Correlation of a crop with the other, from which keypoints are compared."""


_LIMITS = _Limits(whole=0.8, share=0.42, half=0.9, part=0.7)
"""Of unrelated blood-cell photos, one pair in 1,000 reaches the last."""

_STRICT = _Limits(whole=0.92, share=0.6, half=0.97, part=0.85)
"""For more images than :data:`THOROUGH`, among which every image has some that are fairly similar."""


class Candidates(NamedTuple):
    """Pairs to judge, most similar first."""

    pairs: Array
    """Numbers of images, the lower first, shape (m, 2)."""
    align: Array
    """Whether keypoints are worth their time, shape (m,)."""


class _Search(NamedTuple):
    """One comparison of all images with all."""

    rows: Window = WHOLE
    columns: Window = WHOLE
    least: float = LEAST
    transpose: bool = False
    negative: bool = False

    @property
    def halved(self) -> bool:
        """Whether comparing each pair in one order is enough."""
        return self.columns != WHOLE or self.rows == WHOLE


def _searches(count: int) -> Iterator[_Search]:
    yield _Search(transpose=True)  # crops are not turned by 90 degrees, too: it would take twice as long
    yield from (_Search(rows=corner) for corner in CORNERS)
    yield from (_Search(rows=half, columns=half, least=HALF) for half in HALVES)
    if count <= THOROUGH:
        yield from (_Search(rows=crop) for crop in CROPS)
        yield from (_Search(rows=turn, columns=MIDDLE) for turn in ROTATED)
        yield _Search(negative=True, least=HALF)


_HIT = np.dtype([("row", np.int32), ("column", np.int32), ("similarity", np.float32)])


def candidates(thumbnails: Array, pool: Executor) -> Candidates:
    """Return the pairs that may be copies or show one scene.

    Args:
        thumbnails: Shape (n, SIDE, SIDE).
        pool: Runs the parts.
    """
    found = [np.empty(0, _HIT)]
    for search in _searches(len(thumbnails)):
        columns = features(thumbnails, search.columns)
        rows = columns if search.rows == search.columns else features(thumbnails, search.rows)
        rows = -rows if search.negative else rows
        starts = range(0, len(rows), _TILE)
        strips = [rows[start : start + _TILE] for start in starts]
        found += pool.map(partial(_hits, columns=columns, search=search), strips, starts)
    hits = np.concatenate(found)
    hits = hits[np.argsort(-hits["similarity"], kind="stable")]
    pairs = np.sort(np.stack([hits["row"], hits["column"]], axis=1), axis=1)
    once = np.sort(np.unique(pairs.astype(np.int64) @ [len(thumbnails), 1], return_index=True)[1])
    most = _COMPARED if len(thumbnails) <= THOROUGH else _COMPARED // 2
    most = max(most, _COMPARED_ALWAYS // max(1, len(thumbnails)))
    pairs = pairs[once[_among_best(pairs[once], most)]]
    return _worthwhile(thumbnails, pairs, pool)


def _worthwhile(thumbnails: Array, pairs: Array, pool: Executor) -> Candidates:
    """Keep the pairs whose thumbnails agree as they are or in part, the best few of each image."""
    thorough, count = len(thumbnails) <= THOROUGH, max(1, len(thumbnails))
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    parts = np.split(pairs, range(512, len(pairs), 512)) if len(pairs) else []
    known = list(pool.map(lambda part: _agreements(thumbnails, part, thorough=thorough), parts))
    same, part = np.concatenate([np.empty((0, 2)), *known]).T
    limits = _LIMITS if thorough else _STRICT
    kept = (same > 0) | (part >= limits.part)
    kept[np.argsort(-np.maximum(same, part), kind="stable")[:_ALWAYS]] = True
    pairs, part = pairs[kept], part[kept]
    order = np.argsort(-np.maximum(same[kept], part), kind="stable")
    order = order[_among_best(pairs[order], max(_MOST, _KEPT_ALWAYS // count))]
    pairs, part = pairs[order], part[order]
    ranked = np.argsort(-part, kind="stable")
    budget = _ALIGNED_ALWAYS + int(_ALIGNED_SHARE * len(thumbnails))
    align = np.zeros(len(pairs), dtype=bool)
    best = ranked[_among_best(pairs[ranked], max(_ALIGNED, _ALIGNED_OF_FEW // count))]
    align[best[:_ALIGNED_ALWAYS]] = True
    align[best[part[best] >= limits.part][:budget]] = True
    return Candidates(pairs, align)


def _agreements(thumbnails: Array, pairs: Array, *, thorough: bool) -> Array:
    """Return how pairs agree as they are (0: not enough), and how their most similar parts correlate, shape (m, 2)."""
    first, second = thumbnails[pairs[:, 0]], thumbnails[pairs[:, 1]]
    found = correlations(first, second)
    whole = np.maximum(found.max(1), -found[:, 0])
    turned = turns_of(second)[np.arange(len(pairs)), found.argmax(1)]
    share, half = _agreeing_share(first, turned), _best_half(first, second)
    limits = _LIMITS if thorough else _STRICT
    alike = (whole >= limits.whole) | (share >= limits.share) | (half >= limits.half)
    same = np.where(alike, np.maximum(np.maximum(whole, share), half), 0)
    part, rest = whole.copy(), whole < _CLEAR
    if rest.any():
        part[rest] = np.maximum(whole[rest], _best_part(thumbnails, pairs[rest], thorough=thorough))
    return np.stack([same, part], 1)


def _agreeing_share(first: Array, second: Array) -> Array:
    """Return the share of pixels that agree, whatever else was drawn over the others."""
    one, two = (values.reshape(len(values), -1).astype(np.float32) for values in (first, second))
    weights, apart = np.ones_like(one), one
    for _ in range(_ROUNDS):
        count = weights.sum(1, keepdims=True)
        mean_one, mean_two = ((weights * values).sum(1, keepdims=True) / count for values in (one, two))
        spread = (weights * (one - mean_one) ** 2).sum(1, keepdims=True)
        common = (weights * (one - mean_one) * (two - mean_two)).sum(1, keepdims=True)
        apart = np.abs(two - mean_two - common / np.maximum(spread, 1) * (one - mean_one))
        middle = np.partition(apart, SIDE**2 // 2, axis=1)[:, SIDE**2 // 2, None]
        weights = (apart <= np.maximum(middle, 2)).astype(np.float32)
    return np.asarray((apart <= _TOLERANCE * DEVIATION).mean(1))


def _best_half(first: Array, second: Array) -> Array:
    """Return the best correlation of a half of one picture with the same half of the other, in any turn."""
    center, found = SIDE // 2, []
    turns = turns_of(second)
    for half in (np.s_[..., :center, :], np.s_[..., center:, :], np.s_[..., :center], np.s_[..., center:]):
        one = unit(first[half].reshape(len(first), -1, 1).astype(np.float32), axis=1)
        two = unit(turns[half].reshape(len(first), 8, -1).astype(np.float32))
        found.append(np.matmul(two, one).max((1, 2)))
    return np.asarray(np.max(found, axis=0))


def _best_part(thumbnails: Array, pairs: Array, *, thorough: bool) -> Array:
    """Return the best correlation of a crop of one picture with the other, or of rotated middles."""
    images, place = np.unique(pairs, return_inverse=True)
    one, two = place.reshape(pairs.shape).T
    crops = _windows(thumbnails[images], (*CORNERS, *BANDS, *CROPS))
    turned = _turned(sampled(thumbnails[images], WHOLE))
    best = np.maximum(_best_product(turned[two], crops[one]), _best_product(turned[one], crops[two]))
    if thorough:
        middles = _turned(sampled(thumbnails[images], MIDDLE))
        best = np.maximum(best, _best_product(middles[two], _windows(thumbnails[images], ROTATED)[one]))
    return best


def _windows(thumbnails: Array, windows: tuple[Window, ...]) -> Array:
    return np.stack([sampled(thumbnails, window) for window in windows], 1)


def _turned(values: Array) -> Array:
    return turns_of(values.reshape(-1, SIDE, SIDE)).reshape(len(values), 8, -1)


def _best_product(turned: Array, windows: Array) -> Array:
    return np.asarray(np.matmul(turned, windows.transpose(0, 2, 1)).max((1, 2)))


def _among_best(pairs: Array, most: int) -> Array:
    """Return whether each of the pairs, most similar first, is among the first of either image."""
    return np.asarray((_ranks(pairs[:, 0]) < most) | (_ranks(pairs[:, 1]) < most))


def _ranks(values: Array) -> Array:
    """Return for each value how many equal values precede it."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values), dtype=int)
    ranks[order] = np.arange(len(values)) - np.searchsorted(values[order], values[order])
    return ranks


def _hits(rows: Array, start: int, *, columns: Array, search: _Search) -> Array:
    """Return the best few columns of each row."""
    found = [np.empty(0, _HIT)]
    numbers = np.arange(start, start + len(rows))[:, None]
    for left in range(start // _TILE * _TILE if search.halved else 0, len(columns), _TILE):
        part = columns[left : left + _TILE]
        similarity = _similarity(rows, part)
        if search.transpose:
            similarity = np.maximum(similarity, _similarity(transposed(rows), part))
        if left < start + len(rows):
            others = np.arange(left, left + len(part))[None]
            similarity[(others <= numbers) if search.halved else (others == numbers)] = -1
        if similarity.max() >= search.least:
            row, column = _best_of(similarity, search.least)
            hits = np.empty(len(row), _HIT)
            hits["row"], hits["column"] = row + start, column + left
            hits["similarity"] = similarity[row, column] - (search.least - LEAST)
            found.append(hits)
    hits = np.concatenate(found)
    hits = hits[np.argsort(-hits["similarity"], kind="stable")]
    return hits[_ranks(hits["row"]) < _HITS]


def _similarity(rows: Array, columns: Array) -> Array:
    """Return the products of features in the best mirroring, which only changes the signs of odd frequencies."""
    odd, across, down = parities()
    parts = (slice(odd), slice(odd, across), slice(across, down), slice(down, None))
    even, both, sideways, upward = (rows[:, part] @ columns[:, part].T for part in parts)
    straight = sideways + upward
    sideways -= upward
    np.abs(straight, out=straight)
    np.abs(sideways, out=sideways)
    straight += both
    sideways -= both
    np.maximum(straight, sideways, out=straight)
    straight += even
    return np.asarray(straight)


def _best_of(similarity: Array, least: float) -> tuple[Array, Array]:
    """Return rows and columns of the candidates, at most a few per row."""
    if np.count_nonzero(similarity >= least) <= _HITS * len(similarity):
        row, column = np.nonzero(similarity >= least)
        return row, column
    best = np.argpartition(similarity, -min(_HITS, similarity.shape[1]), axis=1)[:, -_HITS:]
    row, rank = np.nonzero(np.take_along_axis(similarity, best, axis=1) >= least)
    return row, best[row, rank]
