"""Pairs of pictures that may be the same, found among millions by their thumbnails."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np

from yolosweep.data.duplicates.nearest_pairs import Search, hits, ranks
from yolosweep.data.duplicates.thumbnail_features import (
    BANDS,
    CORNERS,
    CROPS,
    HALVES,
    MIDDLE,
    ROTATED,
    WHOLE,
    Window,
    flips_of,
    sampled,
    turns_of,
    unit,
)
from yolosweep.data.duplicates.thumbnails import DEVIATION, SIDE

__all__ = ["Candidates", "candidates"]

Array = np.ndarray[Any, Any]

_HALF = 0.85
"""Product of features of halves, where one half may be covered, and of negatives, from which a pair is compared."""

THOROUGH = 20_000
"""Up to so many images, crops of a fifth or more, small rotations and negatives are sought, too: 2 ms an image."""

_MOST = 3
"""Candidates kept per image; bounds the work if all images are similar. A pair is kept for either of its images: many
pictures with the same banner must not crowd out the original of each."""

_KEPT_ALWAYS, _ALIGNED_OF_FEW = 600, 300
"""In small data sets more are kept, and aligned: about so many pairs."""

_COMPARED, _COMPARED_ALWAYS = 8, 10_000
"""Hits whose thumbnails are compared, per image (half as many in large sets), and in any data set."""

_ALWAYS, _ALIGNED_ALWAYS, _ALIGNED_SHARE = 300, 200, 0.5
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


def _searches(count: int) -> Iterator[Search]:
    yield Search(transpose=True)  # crops are not turned by 90 degrees, too: it would take twice as long
    yield from (Search(rows=corner) for corner in CORNERS)
    yield from (Search(rows=half, columns=half, least=_HALF) for half in HALVES)
    if count <= THOROUGH:
        yield from (Search(rows=crop) for crop in CROPS)
        yield from (Search(rows=turn, columns=MIDDLE) for turn in ROTATED)
        yield Search(negative=True, least=_HALF)


def candidates(thumbnails: Array, pool: Executor) -> Candidates:
    """Return the pairs that may be copies or show one scene.

    Args:
        thumbnails: Shape (n, SIDE, SIDE).
        pool: Runs the parts.
    """
    found = np.concatenate([hits(thumbnails, search, pool) for search in _searches(len(thumbnails))])
    found = found[np.argsort(-found["similarity"], kind="stable")]
    pairs = np.sort(np.stack([found["row"], found["column"]], axis=1), axis=1)
    once = np.sort(np.unique(pairs.astype(np.int64) @ [len(thumbnails), 1], return_index=True)[1])
    most = _COMPARED if len(thumbnails) <= THOROUGH else _COMPARED // 2
    most = max(most, _COMPARED_ALWAYS // max(1, len(thumbnails)))
    pairs = pairs[once[_among_best(pairs[once], most)]]
    return _worthwhile(thumbnails, pairs, pool)


def _worthwhile(thumbnails: Array, pairs: Array, pool: Executor) -> Candidates:
    """Keep the pairs whose thumbnails agree as they are or in part, the best few of each image."""
    thorough, count = len(thumbnails) <= THOROUGH, max(1, len(thumbnails))
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0] // 32))]  # so that a part has few images
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
    images, place = np.unique(pairs, return_inverse=True)
    one, two = place.reshape(pairs.shape).T
    shown, every = thumbnails[images], np.arange(len(pairs))
    upright = sampled(shown, WHOLE)
    turned = turns_of(upright.reshape(-1, SIDE, SIDE)).reshape(len(images), 8, -1)
    found = np.matmul(turned[two], upright[one][:, :, None])[:, :, 0]
    whole = np.maximum(found.max(1), -found[:, 0])
    share = _agreeing_share(shown[one], turns_of(shown)[two, found.argmax(1)])
    half = _best_half(shown, one, two)
    limits = _LIMITS if thorough else _STRICT
    alike = (whole >= limits.whole) | (share >= limits.share) | (half >= limits.half)
    same = np.where(alike, np.maximum(np.maximum(whole, share), half), 0)
    part, rest = whole.copy(), every[whole < _CLEAR]
    part[rest] = np.maximum(whole[rest], _best_part(shown, turned, one[rest], two[rest], thorough=thorough))
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


def _best_half(thumbnails: Array, one: Array, two: Array) -> Array:
    """Return the best correlation of a half of one picture with the same half of the other, in any turn."""
    # Left and right are the upper and lower half of a transposed picture.
    planes = np.stack([thumbnails, thumbnails.transpose(0, 2, 1)], 1)
    halves = unit(planes.reshape(-1, 2, 2, SIDE**2 // 2).astype(np.float32))
    flipped = flips_of(halves.reshape(planes.shape)).reshape(-1, 8, 2, SIDE**2 // 2).transpose(0, 2, 1, 3)
    return np.asarray(np.matmul(flipped[two], halves[one].transpose(0, 2, 3, 1)).max((1, 2, 3)))


def _best_part(thumbnails: Array, turned: Array, one: Array, two: Array, *, thorough: bool) -> Array:
    """Return the best correlation of a crop of one picture with the other, or of rotated middles."""
    crops = _windows(thumbnails, (*CORNERS, *BANDS, *(CROPS if thorough else ())))
    best = np.maximum(_best_product(turned[two], crops[one]), _best_product(turned[one], crops[two]))
    if thorough:
        middles = turns_of(sampled(thumbnails, MIDDLE).reshape(-1, SIDE, SIDE)).reshape(turned.shape)
        best = np.maximum(best, _best_product(middles[two], _windows(thumbnails, ROTATED)[one]))
    return best


def _windows(thumbnails: Array, windows: tuple[Window, ...]) -> Array:
    return np.stack([sampled(thumbnails, window) for window in windows], 1)


def _best_product(turned: Array, windows: Array) -> Array:
    return np.asarray(np.matmul(turned, windows.transpose(0, 2, 1)).max((1, 2)))


def _among_best(pairs: Array, most: int) -> Array:
    """Return whether each of the pairs, most similar first, is among the first of either image."""
    return np.asarray((ranks(pairs[:, 0]) < most) | (ranks(pairs[:, 1]) < most))
