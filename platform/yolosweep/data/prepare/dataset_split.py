"""Splits a dataset into train, val and test: stratified by class, seeded, and never across a source group."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from yolosweep.data.duplicates.near_duplicates import DisjointSets
from yolosweep.errors import UsageError

__all__ = ["SHARES", "make_split"]

T = TypeVar("T", bound=Hashable)
Array = np.ndarray[Any, Any]

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def make_split(
    items: Sequence[T],
    groups: Iterable[Iterable[T]],
    classes_of: Callable[[T], Iterable[int]],
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> dict[str, list[T]]:
    """Return the items of each split: every item once, every group in one split, each list in the given order.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data", 2011), applied
    to groups: the rarest class first, its largest groups first, each to the split that lacks most of that class. In
    addition, items without a class form a class of their own, so that empty images are spread, too; the last groups of
    a class go to the splits without it, so that a class is in every split if it has enough groups, and else in the
    larger splits first; finally, groups move from too large to too small splits, those first that change the class
    shares least.

    Args:
        items: Unique, in a stable order.
        groups: Items that must stay together; groups that share an item are merged.
        classes_of: Returns the classes of an item; none for an empty image.
        shares: Relative size by split, any positive numbers; 0 omits the split.
        seed: The same seed, items and groups give the same split.

    Raises:
        UsageError: A share is negative, or all are 0.
    """
    total = sum(shares.values())
    if min(shares.values(), default=0) < 0 or not 0 < total < float("inf"):
        raise UsageError(f"the shares of the splits must be 0 or more, and not all 0: {dict(shares)}")
    wanted = {split: share / total for split, share in shares.items() if share > 0}
    units = _units(items, groups)
    sizes, classes = _counts(items, units, classes_of)
    chosen = _assign(sizes, classes, np.array(list(wanted.values())), np.random.default_rng(seed))
    result: dict[str, list[T]] = {split: [] for split in shares}
    home = {index: chosen[number] for number, unit in enumerate(units) for index in unit}
    for index, item in enumerate(items):
        result[list(wanted)[home[index]]].append(item)
    return result


def _units(items: Sequence[T], groups: Iterable[Iterable[T]]) -> list[list[int]]:
    """Return the positions of the items of each unit, a group or a single item."""
    place = {item: index for index, item in enumerate(items)}
    sets = DisjointSets(len(items))
    for group in groups:
        members = [place[item] for item in group if item in place]
        for member in members[1:]:
            sets.join(members[0], member)
    return sets.groups()


def _counts(
    items: Sequence[T], units: Sequence[Sequence[int]], classes_of: Callable[[T], Iterable[int]]
) -> tuple[Array, Array]:
    """Return each unit's number of items, shape (units,), and of items per class, shape (units, classes)."""
    empty = -1
    sets = [set(classes_of(item)) or {empty} for item in items]
    columns = {name: column for column, name in enumerate(sorted(set().union(*sets)))}
    counts = np.zeros((len(units), len(columns)))
    for row, unit in enumerate(units):
        for index in unit:
            for name in sets[index]:
                counts[row, columns[name]] += 1
    return np.array([len(unit) for unit in units], dtype=float), counts


def _assign(sizes: Array, classes: Array, shares: Array, rng: np.random.Generator) -> Array:
    """Return the split of each unit, as an index into ``shares``."""
    chosen = np.full(len(sizes), -1)
    lacks = classes.sum(axis=0)[:, None] * shares
    room = sizes.sum() * shares
    holds = np.zeros(lacks.shape, dtype=bool)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    left = (classes > 0).sum(axis=0)
    while (left > 0).any():
        name = int(np.where(left > 0, left, np.inf).argmin())
        for unit in order[(classes[order, name] > 0) & (chosen[order] < 0)]:
            without = ~holds[name]
            must = without.sum() > 0 and left[name] <= without.sum()
            open_to = np.flatnonzero(without) if must else np.arange(len(shares))
            # Prefer the split that lacks most of the class, then the one with most space, then the largest share.
            best = max(open_to.tolist(), key=lambda s: (round(lacks[name, s], 9), round(room[s], 9), shares[s]))
            chosen[unit] = best
            lacks[:, best] -= classes[unit]
            room[best] -= sizes[unit]
            holds[:, best] |= classes[unit] > 0
            left -= classes[unit] > 0
    _balance(chosen, sizes, classes, shares)
    return chosen


def _balance(chosen: Array, sizes: Array, classes: Array, shares: Array) -> None:
    """Move units between splits while that improves the split sizes; no split loses a class."""
    target = sizes.sum() * shares
    aim = classes.sum(axis=0)[:, None] * shares
    have = np.stack([classes[chosen == split].sum(axis=0) for split in range(len(shares))], axis=1)
    over = np.array([sizes[chosen == split].sum() for split in range(len(shares))]) - target
    for _ in range(len(sizes)):
        source, goal = int(over.argmax()), int(over.argmin())
        units = np.flatnonzero(chosen == source)
        gain = np.abs(over[source]) + np.abs(over[goal])
        gain = gain - np.abs(over[source] - sizes[units]) - np.abs(over[goal] + sizes[units])
        keeps = ((have[:, source] > classes[units]) | (classes[units] == 0)).all(axis=1)
        units, gain = units[keeps & (gain > 1e-9)], gain[keeps & (gain > 1e-9)]
        if not len(units):
            return
        off = np.abs(have[:, source] - classes[units] - aim[:, source]).sum(axis=1)
        off += np.abs(have[:, goal] + classes[units] - aim[:, goal]).sum(axis=1)
        unit = units[np.lexsort((off, -gain))[0]]
        for split, sign in ((source, -1), (goal, 1)):
            have[:, split] += sign * classes[unit]
            over[split] += sign * sizes[unit]
        chosen[unit] = goal
