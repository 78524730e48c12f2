"""Pairs of pictures with similar features: the few best of each, of all or, in large sets, of those near it.

In large sets each picture belongs to the cell of the most similar of some random pictures, the pivots, as in an
inverted file (Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", 2011); only the pictures of the
nearest cells are compared, so time grows nearly as the number of pictures. Pivots are compared in the same
orientations as pictures, hence a mirrored copy is in the cell of its original. Own code: faiss knows no orientations.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np

from yolosweep.data.duplicates.thumbnail_features import WHOLE, Window, features, parities, transposed

__all__ = ["HIT", "LEAST", "Search", "hits", "ranks"]

Array = np.ndarray[Any, Any]

LEAST = 0.66
"""Product of features from which a pair is compared closely. Of photos of one kind (BCCD), one unrelated pair in 200
reaches it."""

_MOST = 4
"""Hits per picture and search."""

_ROWS, _COLUMNS = 256, 512
"""Pictures compared per tile; its products fit in the processor's cache."""

_CELL, _NEAR = 512, 16
"""Pictures per cell, on average, and cells that each picture is compared with."""

HIT = np.dtype([("row", np.int32), ("column", np.int32), ("similarity", np.float32)])


class Search(NamedTuple):
    """One comparison of the pictures."""

    rows: Window = WHOLE
    columns: Window = WHOLE
    least: float = LEAST
    transpose: bool = False
    negative: bool = False


def hits(thumbnails: Array, search: Search, pool: Executor) -> Array:
    """Return the best few columns of each row, shape (m,) of :data:`HIT`; 0.66 counts as much as the least of a search.

    Args:
        thumbnails: Shape (n, SIDE, SIDE).
        search: What is compared.
        pool: Runs the parts.
    """
    columns = features(thumbnails, search.columns)
    rows = columns if search.rows == search.columns else features(thumbnails, search.rows)
    rows = -rows if search.negative else rows
    everyone = np.arange(len(rows))
    floor = np.full(len(rows), search.least, np.float32)

    def best(pair: tuple[Array, Array]) -> Array:
        return _best(rows, columns, *pair, floor, transpose=search.transpose)

    if len(rows) <= _CELL * _NEAR:
        found = [_few(part) for part in pool.map(best, [(part, everyone) for part in _tiles(everyone)])]
    else:
        nearest, others = _cells(rows, columns, search, pool)
        found = [_few(np.concatenate([_NONE, *pool.map(best, nearest)]))]
        # Most of the best are in the nearest cell: what is less similar than they are is not even listed.
        full, count = np.unique(found[0]["row"], return_counts=True)
        full = full[count == _MOST]
        lowest = np.full(len(rows), np.inf, np.float32)
        np.minimum.at(lowest, found[0]["row"], found[0]["similarity"])
        floor[full] = lowest[full]
        found = [_few(np.concatenate([*found, *pool.map(best, others)]))]
    every = np.concatenate([_NONE, *found])
    every["similarity"] -= search.least - LEAST
    return every


_NONE = np.empty(0, HIT)


def ranks(values: Array) -> Array:
    """Return for each value how many equal values precede it."""
    order = np.argsort(values, kind="stable")
    found = np.empty(len(values), dtype=int)
    found[order] = np.arange(len(values)) - np.searchsorted(values[order], values[order])
    return found


def _tiles(numbers: Array, size: int = _ROWS) -> list[Array]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _few(found: Array) -> Array:
    """Keep the best few of each row."""
    found = found[np.lexsort((found["column"], -found["similarity"], found["row"]))]
    return found[ranks(found["row"]) < _MOST]


def _cells(
    rows: Array, columns: Array, search: Search, pool: Executor
) -> tuple[list[tuple[Array, Array]], list[tuple[Array, Array]]]:
    """Return the rows and columns to compare, cell by cell: rows whose nearest cell it is, then rows near it."""
    count = len(columns) // _CELL
    pivots = columns[np.random.default_rng(0).choice(len(columns), count, replace=False)]

    def near(part: Array) -> Array:
        similarity = _similarity(part, pivots, transpose=search.transpose)
        best = np.argpartition(similarity, -_NEAR, axis=1)[:, -_NEAR:]
        order = np.argsort(-np.take_along_axis(similarity, best, axis=1), axis=1, kind="stable")
        return np.asarray(np.take_along_axis(best, order, axis=1).astype(np.int32))

    def nearest(part: Array) -> Array:
        return np.asarray(_similarity(part, pivots, transpose=search.transpose).argmax(1))

    home = np.concatenate(list(pool.map(nearest, _tiles(columns))))
    wanted = np.concatenate(list(pool.map(near, _tiles(rows))))
    members = _grouped(home, np.arange(len(home)), count)
    first = _grouped(wanted[:, 0], np.arange(len(rows)), count)
    further = _grouped(wanted[:, 1:].ravel(), np.repeat(np.arange(len(rows)), _NEAR - 1), count)
    return list(zip(first, members, strict=True)), list(zip(further, members, strict=True))


def _grouped(keys: Array, numbers: Array, count: int) -> list[Array]:
    """Return the numbers of each key below ``count``, ascending."""
    order = np.argsort(keys, kind="stable")
    return np.split(numbers[order], np.searchsorted(keys[order], np.arange(1, count)))


def _best(rows: Array, columns: Array, which: Array, among: Array, floor: Array, *, transpose: bool) -> Array:
    """Return the best few of some columns for each of some rows, from their floors on; both ascending."""
    found = [_NONE]
    for some in _tiles(which):
        for others in _tiles(among, _COLUMNS):
            similarity = _similarity(rows[some], columns[others], transpose=transpose)
            place = np.searchsorted(others, some)
            itself = np.flatnonzero(others[np.minimum(place, len(others) - 1)] == some)
            similarity[itself, place[itself]] = -1
            row, column = _above(similarity, floor[some])
            if len(row):
                part = np.empty(len(row), HIT)
                part["row"], part["column"] = some[row], others[column]
                part["similarity"] = similarity[row, column]
                found.append(part)
    return np.concatenate(found)


def _similarity(rows: Array, columns: Array, *, transpose: bool = False) -> Array:
    """Return the products of features in the best mirroring, which only changes the signs of odd frequencies."""
    odd, across, down = parities()
    turned = rows.copy()
    turned[:, odd:across] *= -1
    turned[:, down:] *= -1
    found: list[Array] = []
    for upright in (rows, turned):  # mirrored in both directions or none, and in one of them
        product: Array = upright[:, across:] @ columns[:, across:].T
        np.abs(product, out=product)
        product += upright[:, :across] @ columns[:, :across].T
        found.append(product)
    if transpose:
        found.append(_similarity(transposed(rows), columns))
    for other in found[1:]:
        np.maximum(found[0], other, out=found[0])
    return found[0]


def _above(similarity: Array, floor: Array) -> tuple[Array, Array]:
    """Return rows and columns of what reaches the floor of its row, at most a few per row."""
    above = similarity >= floor[:, None]
    if np.count_nonzero(above) <= _MOST * len(similarity):
        row, column = np.divmod(np.flatnonzero(above), above.shape[1])  # faster than nonzero
        return row, column
    best = np.argpartition(similarity, -min(_MOST, similarity.shape[1]), axis=1)[:, -_MOST:]
    row, rank = np.nonzero(np.take_along_axis(above, best, axis=1))
    return row, best[row, rank]
