"""Which images go to which split: chosen by what the images are, checked against what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolosweep.data.duplicates.capture_times import capture_time
from yolosweep.data.duplicates.leak_summary import SEQUENCE
from yolosweep.data.duplicates.near_duplicates import SCENE, Pair, connected_groups
from yolosweep.data.prepare.dataset_split import make_split
from yolosweep.data.prepare.split_keys import keyed_groups
from yolosweep.data.prepare.time_cuts import has_order, split_by_time
from yolosweep.errors import DataError, UsageError

__all__ = ["SplitPlan", "planned", "refuse_useless"]

_TOO_LARGE = 0.5
"""A larger group of frames, as a share of all images, is divided by time instead of kept together."""
_FIXED = 0.5
"""From this share of images of scenes that return, images are split by time."""
_OFF = 1 / 3


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """The files of each split, and why."""

    split: dict[str, list[Path]]
    groups: list[tuple[Path, ...]]
    """Files that were kept together."""
    notes: tuple[str, ...]


def planned(
    files: Sequence[Path],
    pairs: Iterable[Pair],
    classes_of: Callable[[Path], set[int]],
    shares: Mapping[str, float],
    seed: int,
    by: str | None,
) -> SplitPlan:
    """Return which files go to which split.

    Copies always stay together. Bursts do, unless one is most of the images. By default, images of scenes that return
    (fixed cameras) are split by time, other images by class.

    Args:
        files: Readable images.
        pairs: Of the same image, source or scene.
        classes_of: Returns the classes of a file.
        shares: By split.
        seed: Same seed, same split.
        by: ``time``, or see :func:`keyed_groups`; None: what suits the images.

    Raises:
        UsageError: The names hold no times or numbers for ``time``, or ``by`` does not cover the images.
    """
    total = sum(shares.values())
    wanted = {name: share / total for name, share in shares.items() if share > 0} if total > 0 else {}
    pairs = list(pairs)
    scenes = connected_groups(pair for pair in pairs if pair.kind == SCENE)
    groups = connected_groups(pair for pair in pairs if pair.kind != SCENE)
    copies = connected_groups(pair for pair in pairs if pair.kind not in (SCENE, SEQUENCE))
    long = [group for group in groups if len(group) > _TOO_LARGE * len(files)]
    ordered = has_order(files)
    if by == "time" and not ordered:
        raise UsageError("--by time: not all file names hold a time or a number; use --by folder, a list or a pattern")
    fixed = sum(map(len, scenes)) >= _FIXED * len(files) and len(files) > 1
    keyed: list[list[Path]] = []
    if by == "time" or (by is None and ordered and (fixed or long)):
        groups = [group for group in groups if group not in long] + [
            group for group in copies if any(set(group) <= set(whole) for whole in long)
        ]
        split = split_by_time(files, groups, classes_of, wanted, seed)
        why = "as asked" if by else f"{sum(map(len, scenes)) if fixed else len(long[0])} of {len(files)} images are of "
        why += "" if by else "scenes that return" if fixed else "one recording"
        notes = [f"split by time ({why}){_periods(split)}"]
    else:
        keyed = keyed_groups(files, by, scenes) if by else []
        split = make_split(files, [*groups, *keyed], classes_of, shares, seed)
        notes = [f"split by {by}: {len(keyed)} groups"] if by else []
        if fixed and not by:
            notes.append(
                f"{sum(map(len, scenes))} of {len(files)} images are of scenes that return, and their names hold no"
                " times: val is easier than the next days; use --by with folders, a list or a pattern"
            )
    return SplitPlan(split=split, groups=groups, notes=(*notes, *_misses(split, [*groups, *keyed], wanted)))


def _periods(split: Mapping[str, Sequence[Path]]) -> str:
    """Return the first and last day of each split, if the names hold dates and the splits follow each other."""
    days = {
        name: sorted(time.date() for file in files if (time := capture_time(file))) for name, files in split.items()
    }
    if not all(days.values()):
        return ""
    return ": " + ", ".join(f"{name} {dates[0]} to {dates[-1]}" for name, dates in days.items())


def _misses(
    split: Mapping[str, Sequence[Path]], groups: Sequence[Sequence[Path]], wanted: Mapping[str, float]
) -> list[str]:
    total, largest = sum(map(len, split.values())), max(map(len, groups), default=1)
    return [
        f"{name} has {len(split[name])} of {total} images ({len(split[name]) / total:.0%}) instead of {share:.0%}"
        f" (the largest group that stays together has {largest})"
        for name, share in wanted.items()
        if abs(len(split[name]) / total - share) > share * _OFF
    ]


def refuse_useless(plan: SplitPlan, have: Mapping[str, Mapping[int, int]], names: Mapping[int, str]) -> None:
    """Refuse a split that no sweep could start on.

    Args:
        plan: The split.
        have: The images of each class, by split.
        names: Of the classes.

    Raises:
        DataError: A split that was asked for is empty, or a class is outside of train only.
    """
    images = {name: len(files) for name, files in plan.split.items()}
    counts = ", ".join(f"{name} {count}" for name, count in images.items())
    largest = max(map(len, plan.groups), default=1)
    ways = "use --by time, --by folder, --by with a list or a pattern, or other shares"
    empty = [name for name, count in images.items() if not count]
    if empty and sum(images.values()) >= len(images):
        raise DataError(
            f"split: {' and '.join(empty)} would be empty ({counts}): {sum(images.values())} images, of which"
            f" {largest} must stay together; {ways}"
        )
    every = set().union(*have.values()) - {-1}
    lost = sorted(every.difference(have.get("train", ())))
    if lost:
        shown = ", ".join(f"{names.get(number, number)!r}" for number in lost[:5])
        raise DataError(
            f"split: {len(lost)} of {len(every)} classes ({shown}) would be outside of train only ({counts}); {ways}"
        )
