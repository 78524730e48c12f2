"""Images that occur in several splits or repeatedly in one: how many, which, and the effect on scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from yolosweep.data.duplicates.near_duplicates import EXACT, NEAR, SCENE, Pair, connected_groups, find_near_duplicates
from yolosweep.data.duplicates.pair_cache import cached_pairs
from yolosweep.data.duplicates.pair_verdicts import Boxes
from yolosweep.data.duplicates.sequences import sequences
from yolosweep.data.model.dataset_items import Images, Item, LabelFile, Labels, Layout
from yolosweep.data.model.finding_codes import finding
from yolosweep.records import Finding, Severity

__all__ = ["SEQUENCE", "LeakReport", "leak_findings", "same_source"]

SEQUENCE = "sequence"

_BEFORE = {"val": ("train",), "test": ("train", "val")}
"""For each evaluation split: the splits that weights and settings were fitted on."""

_HOW = {
    EXACT: "identical images",
    NEAR: "copies: resized, recompressed, recolored, mirrored, turned, cropped or drawn over",
    SEQUENCE: "frames of the same burst or video, or augmented copies of the same source",
    SCENE: "",
}
FEW_NEAR = 0.05
"""Up to this share of a split, near-duplicates are only a warning, shown with every score: old public datasets have
some, and they change a score by less than the seed does."""
_DECODED = 1000
"""Label files that are held decoded: as Python numbers, those of all images can fill the memory."""
_LABEL_TOLERANCE = 0.02
"""Normalized distance up to which boxes of the same image are equal."""


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """Repeated images of a dataset."""

    shares: dict[str, float]
    """Share of val images that are also in train, and of test images in train or val; exact or near."""
    sequence_shares: dict[str, float]
    """Share of further images from the same burst, video or source image as one in those splits."""
    scene_shares: dict[str, float]
    """Share of further images of a scene that those splits show at another moment, as a fixed camera does."""
    pairs: tuple[Pair, ...]
    """For each leaking image: itself, one it leaks from, and the kind; exact first."""
    groups: tuple[tuple[Path, ...], ...]
    """Groups of two or more images that must stay in one split: duplicates and images of the same source."""


def same_source(image_facts: Images, items: Iterable[Item], labels: Labels) -> list[Pair]:
    """Return pairs of files with the same image, source or scene, enough pairs to connect every group.

    The result is cached. Unreadable files have no signature and are compared by their bytes only.
    """
    label_of = {item.image: item.label for item in items if item.label is not None and item.label in labels}

    @lru_cache(_DECODED)
    def boxes(file: Path) -> Boxes | None:
        label = labels[label_of[file]] if file in label_of else LabelFile("")
        return [(row.category, row.box) for row in label.rows] if label.sha256 else None

    def search(known: Images) -> list[Pair]:
        signatures = {file: facts.signature for file, facts in known.items() if facts.signature}
        digests = {file: facts.sha256 for file, facts in known.items() if facts.sha256}
        frames = [Pair(group[0], file, SEQUENCE) for group in sequences(signatures) for file in group[1:]]
        return find_near_duplicates(signatures, digests, boxes=boxes) + frames

    return cached_pairs(image_facts, search, {file: labels[label].sha256 for file, label in label_of.items()})


def leak_findings(layout: Layout, image_facts: Images, labels: Labels) -> tuple[list[Finding], LeakReport]:
    """Return findings about repeated images, and the figures behind them.

    An image is counted once, under its most severe kind: exact, then near, then sequence. A file listed in two splits
    is an exact duplicate of itself. Near-duplicates and frames are no label conflict, since a cropped, mirrored or
    moved image has other boxes; in classify, near-duplicates in two classes are.
    """
    there = {item.image: image_facts[item.image] for item in _items(layout) if item.image in image_facts}
    pairs = same_source(there, _items(layout), labels)
    places: dict[Path, set[str]] = defaultdict(set)
    for split, items in layout.splits.items():
        for item in items:
            places[item.image].add(split)
    same = [pair for pair in pairs if pair.kind in (EXACT, NEAR)]
    levels = {
        EXACT: [*connected_groups(pair for pair in pairs if pair.kind == EXACT), *((file,) for file in places)],
        NEAR: connected_groups(same),
        SEQUENCE: connected_groups(pair for pair in pairs if pair.kind != SCENE),
        SCENE: connected_groups(pair for pair in pairs if pair.kind == SCENE),
    }
    leaking = {split: _leaking(split, levels, places, pairs) for split in _BEFORE if layout.splits.get(split)}

    def shares(*kinds: str) -> dict[str, float]:
        counts = {split: sum(pair.kind in kinds for pair in found) for split, found in leaking.items()}
        return {split: count / len(layout.splits[split]) for split, count in counts.items()}

    findings = [
        *_leaks(layout, leaking),
        *_repeated(layout, levels[EXACT], levels[NEAR]),
        *_conflicts(layout, levels[EXACT], levels[NEAR], labels),
    ]
    return findings, LeakReport(
        shares=shares(EXACT, NEAR),
        sequence_shares=shares(SEQUENCE),
        scene_shares=shares(SCENE),
        pairs=tuple(pair for kind in levels for found in leaking.values() for pair in found if pair.kind == kind),
        groups=tuple(levels[SEQUENCE]),
    )


def _items(layout: Layout) -> Iterator[Item]:
    for items in layout.splits.values():
        yield from items


def _leaking(
    split: str, levels: Mapping[str, Iterable[tuple[Path, ...]]], places: Mapping[Path, set[str]], pairs: list[Pair]
) -> list[Pair]:
    """Return each leaking image of a split with a source it leaks from, preferably a direct match."""
    partners: dict[Path, set[Path]] = defaultdict(set)
    for one, two, _ in pairs:
        partners[one].add(two)
        partners[two].add(one)
    before = set(_BEFORE[split])
    found: dict[Path, Pair] = {}
    for kind, groups in levels.items():
        for group in groups:
            sources = [file for file in group if places[file] & before]
            known = set(sources)
            for file in group if sources else ():
                if split in places[file] and file not in found:
                    direct = sorted(partners[file] & known)
                    itself = [file] if places[file] & before else []
                    found[file] = Pair(file, (itself or direct or sources)[0], kind)
    return sorted(found.values())


def _leaks(layout: Layout, leaking: Mapping[str, list[Pair]]) -> Iterator[Finding]:
    for split, pairs in leaking.items():
        whole = len(layout.splits[split])
        for kind, how in _HOW.items():
            these = [pair for pair in pairs if pair.kind == kind]
            if these:
                first, second, _ = these[0]
                origin = " or ".join(name for name in _BEFORE[split] if layout.splits.get(name))
                example = "the file itself" if first == second else f"like {second}"
                share = f"{len(these)} of {whole} {split} images ({len(these) / whole:.1%})"
                yield finding(
                    f"leak-{kind}",
                    f"{share} show a scene of {origin} at another moment (first: {first.name}, {example}): scores on"
                    f" {split} hold for these scenes, not for other ones"
                    if kind == SCENE
                    else f"{share} are in {origin} too, as {how} (first: {first.name}, {example}): scores on {split}"
                    " are too good",
                    file=str(first),
                    split=split,
                    count=len(these),
                    **({"severity": Severity.WARNING} if kind == NEAR and len(these) <= FEW_NEAR * whole else {}),
                )


def _repeated(layout: Layout, exact: Iterable[tuple[Path, ...]], near: Iterable[tuple[Path, ...]]) -> Iterator[Finding]:
    """Yield how many files of each split repeat another file of that split."""
    for split, items in layout.splits.items():
        here = {item.image for item in items}
        copies = [[file for file in group if file in here] for group in exact]
        surplus = sum(len(group) - 1 for group in copies if group) + len(items) - len(here)
        similar = [[file for file in group if file in here] for group in near]
        more = sum(len(group) - 1 for group in similar if group) - sum(len(group) - 1 for group in copies if group)
        identical = {tuple(group) for group in copies}
        for kind, count, groups in (
            (EXACT, surplus, copies),
            (NEAR, more, [group for group in similar if tuple(group) not in identical]),
        ):
            example = next((group for group in groups if len(group) > 1), None)
            if count and (example or kind == EXACT):
                example_text = f" (first: {example[0].name} and {example[1]})" if example else " (listed twice)"
                yield finding(
                    f"duplicate-{kind}",
                    f"{count} of {len(items)} {split} images repeat others of {split}, as {_HOW[kind]}{example_text}",
                    file=str(example[0] if example else items[0].image),
                    split=split,
                    count=count,
                )


def _conflicts(
    layout: Layout, exact: Iterable[tuple[Path, ...]], near: Iterable[tuple[Path, ...]], labels: Labels
) -> Iterator[Finding]:
    """Yield how many images have conflicting labels."""
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
            f"{len(found)} images occur more than once with different labels"
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
    """Return whether two label files agree up to order and rounding."""
    left = list(two.rows)
    for row in one.rows:
        same = [other for other in left if other.category == row.category and _close(row.box, other.box)]
        if not same:
            return False
        left.remove(same[0])
    return not left


def _close(one: Sequence[float], two: Sequence[float]) -> bool:
    return all(abs(a - b) <= _LABEL_TOLERANCE for a, b in zip(one, two, strict=True))
