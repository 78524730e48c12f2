"""Pictures that are in more than one split, or more than once in one: how many, which, and what it does to scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yolosweep.data.duplicates.near_duplicates import EXACT, NEAR, Pair, find_near_duplicates, joined
from yolosweep.data.duplicates.pair_cache import remembered
from yolosweep.data.duplicates.sequences import sequences
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.items import Item, LabelFile, Labels, Layout, Pictures
from yolosweep.records import Finding, Severity

__all__ = ["SEQUENCE", "LeakReport", "leak_findings", "same_source"]

SEQUENCE = "sequence"

_BEFORE = {"val": ("train",), "test": ("train", "val")}
"""For each split that scores are taken on: the splits that weights and settings were made on before."""

_HOW = {
    EXACT: "the very same pictures",
    NEAR: "the same pictures resized, recompressed, recoloured, mirrored or cropped",
    SEQUENCE: "frames of the same burst or video, or augmented copies of the same source",
}
FEW_NEAR = 0.05
"""Up to this share of a split, near duplicates are a warning (and stand beside every score): old public sets have some,
and they move a score by less than two seeds do."""
_LABEL_TOLERANCE = 0.02
"""Boxes of the same picture this close (shares of the image) are the same box."""


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """What repeats itself in a data set."""

    shares: dict[str, float]
    """Share of val's images that are also in train, and of test's that are also in train or val; exactly or nearly."""
    sequence_shares: dict[str, float]
    """Share of further images that come from the same burst, video or source picture as one in those splits."""
    pairs: tuple[Pair, ...]
    """For each leaking image: itself, one it leaks from, and the kind; exact first."""
    groups: tuple[tuple[Path, ...], ...]
    """Images that one split must hold: the same pictures and those of the same source, joined; two or more each."""


def same_source(pictures: Pictures) -> list[Pair]:
    """Return pairs of files with the same picture or of the same source, enough to join all that belong together.

    Unreadable files have no look and are only found by their bytes.
    """
    looks = {file: picture.look for file, picture in pictures.items() if picture.look}
    pairs = find_near_duplicates(looks, {file: picture.sha256 for file, picture in pictures.items() if picture.sha256})
    return pairs + [Pair(group[0], file, SEQUENCE) for group in sequences(looks) for file in group[1:]]


def leak_findings(layout: Layout, pictures: Pictures, labels: Labels) -> tuple[list[Finding], LeakReport]:
    """Return what to say about pictures that are there more than once, and the figures behind it.

    An image is counted once, under the gravest kind: exact, then near, then sequence. A file that is listed in two
    splits is exact with itself. Near duplicates and frames are never a conflict of labels: what was cropped, mirrored
    or moved has other boxes; in classify, near duplicates of two classes are.
    """
    there = {item.image: pictures[item.image] for item in _items(layout) if item.image in pictures}
    pairs = remembered(there, same_source)
    places: dict[Path, set[str]] = defaultdict(set)
    for split, items in layout.splits.items():
        for item in items:
            places[item.image].add(split)
    same = [pair for pair in pairs if pair.kind != SEQUENCE]
    levels = {
        EXACT: [*joined(pair for pair in pairs if pair.kind == EXACT), *((file,) for file in places)],
        NEAR: joined(same),
        SEQUENCE: joined(pairs),
    }
    leaking = {split: _leaking(split, levels, places, pairs) for split in _BEFORE if layout.splits.get(split)}
    shares: dict[str, float] = {}
    frames: dict[str, float] = {}
    for split, found in leaking.items():
        whole = len(layout.splits[split])
        frames[split] = sum(pair.kind == SEQUENCE for pair in found) / whole
        shares[split] = sum(pair.kind != SEQUENCE for pair in found) / whole
    findings = [
        *_told(layout, leaking),
        *_repeated(layout, levels[EXACT], levels[NEAR]),
        *_conflicts(layout, levels[EXACT], levels[NEAR], labels),
    ]
    return findings, LeakReport(
        shares=shares,
        sequence_shares=frames,
        pairs=tuple(pair for kind in levels for found in leaking.values() for pair in found if pair.kind == kind),
        groups=tuple(levels[SEQUENCE]),
    )


def _items(layout: Layout) -> Iterator[Item]:
    for items in layout.splits.values():
        yield from items


def _leaking(
    split: str, levels: Mapping[str, Iterable[tuple[Path, ...]]], places: Mapping[Path, set[str]], pairs: list[Pair]
) -> list[Pair]:
    """Return each image of a split that leaks, with one that it leaks from: one it was found with, if there is."""
    beside: dict[Path, set[Path]] = defaultdict(set)
    for one, two, _ in pairs:
        beside[one].add(two)
        beside[two].add(one)
    before = set(_BEFORE[split])
    found: dict[Path, Pair] = {}
    for kind, groups in levels.items():
        for group in groups:
            sources = [file for file in group if places[file] & before]
            for file in group if sources else ():
                if split in places[file] and file not in found:
                    direct = [source for source in sources if source in beside[file]]
                    itself = [file] if places[file] & before else []
                    found[file] = Pair(file, (itself or direct or sources)[0], kind)
    return sorted(found.values())


def _told(layout: Layout, leaking: Mapping[str, list[Pair]]) -> Iterator[Finding]:
    for split, pairs in leaking.items():
        whole = len(layout.splits[split])
        for kind, how in _HOW.items():
            these = [pair for pair in pairs if pair.kind == kind]
            if these:
                first, second, _ = these[0]
                origin = " or ".join(name for name in _BEFORE[split] if layout.splits.get(name))
                example = "the file itself" if first == second else f"like {second}"
                yield finding(
                    f"leak-{kind}",
                    f"{len(these)} of {whole} {split} images ({len(these) / whole:.1%}) are in {origin} too,"
                    f" as {how} (first: {first.name}, {example}): scores on {split} are too good",
                    file=str(first),
                    split=split,
                    count=len(these),
                    **({"severity": Severity.WARNING} if kind == NEAR and len(these) <= FEW_NEAR * whole else {}),
                )


def _repeated(layout: Layout, exact: Iterable[tuple[Path, ...]], near: Iterable[tuple[Path, ...]]) -> Iterator[Finding]:
    """Say how many files of each split repeat another one of it."""
    for split, items in layout.splits.items():
        here = {item.image for item in items}
        copies = [[file for file in group if file in here] for group in exact]
        surplus = sum(len(group) - 1 for group in copies if group) + len(items) - len(here)
        alike = [[file for file in group if file in here] for group in near]
        more = sum(len(group) - 1 for group in alike if group) - sum(len(group) - 1 for group in copies if group)
        for kind, count, groups in (
            (EXACT, surplus, copies),
            (NEAR, more, [group for group in alike if group not in copies]),
        ):
            example = next((group for group in groups if len(group) > 1), None)
            if count and (example or kind == EXACT):
                told = f" (first: {example[0].name} and {example[1]})" if example else " (listed twice)"
                yield finding(
                    f"duplicate-{kind}",
                    f"{count} of {len(items)} {split} images repeat others of {split}, as {_HOW[kind]}{told}",
                    file=str(example[0] if example else items[0].image),
                    split=split,
                    count=count,
                )


def _conflicts(
    layout: Layout, exact: Iterable[tuple[Path, ...]], near: Iterable[tuple[Path, ...]], labels: Labels
) -> Iterator[Finding]:
    """Say how many pictures are labelled in two ways."""
    items = {item.image: item for item in _items(layout)}
    found: list[tuple[Item, Item]] = []
    for group in near if layout.task == "classify" else exact:
        members = [items[file] for file in group if file in items]
        other = [item for item in members[1:] if _differ(members[0], item, labels)]
        found += [(members[0], item) for item in other[:1]]
    if found:
        one, two = found[0]
        yield finding(
            "duplicate-conflict",
            f"{len(found)} pictures are there more than once with different labels"
            f" (first: {one.image.name} and {two.image}): at least one of the labels is wrong",
            file=str(one.image),
            count=len(found),
        )


def _differ(one: Item, two: Item, labels: Labels) -> bool:
    if one.label is None or two.label is None:
        return one.category != two.category
    first, second = labels.get(one.label), labels.get(two.label)
    if first is None or second is None or first.sha256 == second.sha256:
        return (first is None) != (second is None)
    return not _same_rows(first, second)


def _same_rows(one: LabelFile, two: LabelFile) -> bool:
    """Tell whether two label files say the same, in whatever order, but for rounding."""
    left = list(two.rows)
    for row in one.rows:
        twin = next(
            (
                other
                for other in left
                if other.category == row.category
                and all(abs(a - b) <= _LABEL_TOLERANCE for a, b in zip(row.box, other.box, strict=True))
            ),
            None,
        )
        if twin is None:
            return False
        left.remove(twin)
    return not left
