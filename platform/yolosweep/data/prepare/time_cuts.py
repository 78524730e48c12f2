"""Splits recordings of the same places by time: all of a split's images were taken before those of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, permutations
from pathlib import Path

from yolosweep.data.duplicates.capture_times import camera_of, capture_time, position
from yolosweep.data.prepare.dataset_split import make_split

__all__ = ["has_order", "split_by_time"]

Split = dict[str, list[Path]]

_REACH = 0.25
"""A cut may move by this share of the smaller neighbor, to the longest pause."""


def has_order(files: Iterable[Path]) -> bool:
    """Return whether the names of all files say in which order they were taken."""
    return all(position(file) is not None for file in files)


def split_by_time(
    files: Sequence[Path],
    groups: Sequence[Sequence[Path]],
    classes_of: Callable[[Path], set[int]],
    shares: Mapping[str, float],
    seed: int,
) -> Split:
    """Return the files of each split.

    Of the orders in which the splits can follow each other, the first that puts every class into train and val is
    taken, train first if possible; whole days or hundredths of the recording, mixed by class, are the last choice.

    Args:
        files: With a time or a counter in their names.
        groups: Files that must stay together.
        classes_of: Returns the classes of a file.
        shares: By split, summing to 1.
        seed: For the last choice.
    """
    units = _units(files, groups)
    series = _series(files, units)
    plans = [_cut(series, units, {name: shares[name] for name in order}) for order in permutations(shares)]
    blocks = [[file for unit in block for file in unit] for block in _blocks(series, units)]
    plans.append(make_split(files, [*groups, *blocks], classes_of, shares, seed))
    return min(plans, key=lambda plan: _faults(plan, classes_of, shares))


def _faults(plan: Split, classes_of: Callable[[Path], set[int]], shares: Mapping[str, float]) -> tuple[int, ...]:
    """Return what is wrong with a split, the worst first: empty splits, untrained classes, unscored classes, sizes."""
    have = {name: set().union(*map(classes_of, files)) for name, files in plan.items()}
    every, total = set().union(*have.values()), sum(map(len, plan.values()))
    off = sum(abs(len(files) / total - shares[name]) > shares[name] / 3 for name, files in plan.items())
    return (
        sum(not files for files in plan.values()),
        len(every - have.get("train", every)),
        len(every - have.get("val", every)),
        off,
    )


def _units(files: Sequence[Path], groups: Sequence[Sequence[Path]]) -> list[tuple[Path, ...]]:
    there = set(files)
    grouped = [tuple(file for file in group if file in there) for group in groups]
    single = there.difference(*grouped)
    return [*(group for group in grouped if group), *((file,) for file in sorted(single))]


def _series(files: Sequence[Path], units: Sequence[Sequence[Path]]) -> list[list[int]]:
    """Return the numbers of the units in the order of their recording: all as one with times, else by camera."""
    dated = all(capture_time(file) is not None for file in files)
    first = [min(unit, key=lambda file: position(file) or (0.0,)) for unit in units]
    series: dict[str, list[int]] = {}
    for number in sorted(range(len(units)), key=lambda number: (position(first[number]) or (0.0,), str(first[number]))):
        series.setdefault("" if dated else camera_of(first[number]), []).append(number)
    return list(series.values())


def _starts(series: Sequence[int], units: Sequence[Sequence[Path]]) -> list[float]:
    return [min((position(file) or (0.0,))[0] for file in units[number]) for number in series]


def _cut(series: Sequence[Sequence[int]], units: Sequence[Sequence[Path]], shares: Mapping[str, float]) -> Split:
    """Cut every series into consecutive parts of about the given shares, at long pauses."""
    split: Split = {name: [] for name in shares}
    for numbers in series:
        sizes = [len(units[number]) for number in numbers]
        starts, total = _starts(numbers, units), sum(sizes)
        ends, filled = [0], 0.0
        for before, after in pairwise(shares.values()):
            filled += before
            ends.append(_pause(starts, sizes, filled * total, _REACH * min(before, after) * total, ends[-1]))
        for name, start, end in zip(shares, ends, [*ends[1:], len(numbers)], strict=True):
            split[name] += [file for number in numbers[start:end] for file in units[number]]
    return {name: sorted(files) for name, files in split.items()}


def _pause(starts: Sequence[float], sizes: Sequence[int], target: float, reach: float, least: int) -> int:
    """Return the unit before which to cut: after the longest pause near a number of images."""
    seen, near = 0, []
    best = (float("inf"), least)
    for number in range(1, len(starts)):
        seen += sizes[number - 1]
        if number <= least:
            continue
        best = min(best, (abs(seen - target), number))
        if abs(seen - target) <= reach:
            near.append((-(starts[number] - starts[number - 1]), abs(seen - target), number))
    return min(near)[2] if near else best[1]


def _blocks(series: Sequence[Sequence[int]], units: Sequence[Sequence[Path]]) -> list[list[Sequence[Path]]]:
    """Return what was recorded together: the units of a day, or a twentieth of a series without dates."""
    blocks: dict[object, list[Sequence[Path]]] = {}
    for row, numbers in enumerate(series):
        for place, number in enumerate(numbers):
            time = capture_time(min(units[number]))
            key = time.date() if time is not None else (row, place * 20 // len(numbers))
            blocks.setdefault(key, []).append(units[number])
    return list(blocks.values())
