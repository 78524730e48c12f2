"""Object counts of a dataset and findings about them: rare classes, empty images, tiny boxes, a small val split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from yolosweep.data.model.dataset_items import Images, Item, Labels, Layout
from yolosweep.data.model.finding_codes import finding
from yolosweep.records import Finding, Severity

__all__ = ["Counts", "SplitCounts", "balance_findings", "counts", "shorter_sides", "val_objects_needed"]

FEW = 30
"""A class with fewer objects in train is reported: each one is more than 3 % of its training signal."""
UNEVEN, VERY_UNEVEN = 5, 20
"""Ratios of the most to the least frequent class, for a note and for a warning."""
EMPTY, MOSTLY_EMPTY = 0.1, 0.5
"""Shares of images without objects, for a note (Ultralytics advises up to 10 %) and for a warning."""
SMALL_PX = 3.0
"""Boxes with a shorter side are reported: YOLOv5's AutoAnchor calls them extremely small."""
SMALL_SHARE = 0.01
"""Share of such boxes that is tolerated."""
_STRIDE = 32
_LARGEST = 4096
"""Above this imgsz it is better to tile the images."""
_APART = 0.02
_DISAGREE = 0.1
_SHOWN = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitCounts:
    """Counts of one split. In classify an image is one object of its class."""

    images: int
    instances: dict[int, int]
    """Objects per class, for every class of the dataset."""
    images_with: dict[int, int]
    """Images with at least one object, per class, for every class of the dataset."""
    empty: int = 0
    """Images with an empty label file: background."""
    unlabelled: int = 0
    """Images without a label file: Ultralytics treats them as background."""
    boxes: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=np.float32))
    """Normalized width and height of every box, shape (boxes, 2)."""

    @property
    def objects(self) -> int:
        """Objects of all classes."""
        return sum(self.instances.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """Counts of a dataset."""

    task: str
    names: dict[int, str]
    splits: dict[str, SplitCounts]


def counts(layout: Layout, labels: Labels) -> Counts:
    """Count the objects and images of every split; train and val are always included.

    Args:
        layout: The dataset's files.
        labels: Label files as read, by :attr:`Item.label`; one that is absent counts as missing.
    """
    there = {"train": (), "val": (), **layout.splits}
    splits = {split: _count(items, layout, labels) for split, items in there.items()}
    return Counts(task=layout.task, names=layout.names, splits=splits)


def _count(items: Sequence[Item], layout: Layout, labels: Labels) -> SplitCounts:
    instances, images_with = Counter[int](), Counter[int]()
    boxes: list[tuple[float, float]] = []
    empty = unlabelled = 0
    for item in items:
        label = labels.get(item.label) if item.label is not None else None
        categories = [row.category for row in label.rows] if label is not None else []
        if item.category is not None:
            categories = [item.category]
        elif label is None or not label.sha256:
            unlabelled += 1
        elif not label.rows and not label.problems:
            empty += 1
        instances.update(categories)
        images_with.update(set(categories))
        boxes += (row.box[2:] for row in (label.rows if label is not None else ()))
    return SplitCounts(
        images=len(items),
        instances={number: instances[number] for number in layout.names},
        images_with={number: images_with[number] for number in layout.names},
        empty=empty,
        unlabelled=unlabelled,
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 2),
    )


def balance_findings(
    layout: Layout, image_facts: Images, labels: Labels, *, imgsz: Sequence[int] = ()
) -> list[Finding]:
    """Return findings about class counts, split sizes and box sizes.

    Args:
        layout: The dataset's files.
        image_facts: Image files as read, by path; absent or unreadable images are left out of box sizes.
        labels: Label files as read, by path.
        imgsz: The image sizes that trials may use, pixels; boxes are judged at the smallest.
    """
    found = counts(layout, labels)
    findings = [*_missing(found), *_train(found), *_val(found)]
    if imgsz and layout.task != "classify":
        findings += _small_boxes(layout, image_facts, labels, min(imgsz))
    return findings


def _missing(found: Counts) -> Iterator[Finding]:
    """Yield findings about classes without objects in a split or anywhere, and about a missing test split."""
    train, val = found.splits["train"].instances, found.splits["val"].instances
    elsewhere = Counter[int]()
    for split, one in found.splits.items():
        if split != "train":
            elsewhere.update(one.instances)
    untrained = [number for number, count in train.items() if not count and elsewhere[number]]
    if untrained:
        yield finding(
            "balance-class-untrained",
            f"{_named(found, untrained)} in val or test, but without any object in train: it cannot be learned, and "
            "its score of 0 lowers every mean",
            split="train", count=len(untrained),
        )  # fmt: skip
    unscored = [number for number, count in train.items() if count and not val[number]]
    if unscored and any(val.values()):
        yield finding(
            "balance-class-unscored",
            f"{_named(found, unscored)} in train, but without any object in val: no score shows whether it is learned",
            split="val", count=len(unscored),
        )  # fmt: skip
    if not any(val.values()):
        message = f"val has {found.splits['val'].images} images and no object: every score would be 0"
        yield finding("split-val-empty", message, split="val")
    unused = [number for number, count in train.items() if not count and not elsewhere[number]]
    if unused:
        message = f"{_named(found, unused)} named, but without any object in any split"
        yield finding("balance-class-unused", message, count=len(unused))
    if "test" not in found.splits:
        message = "there is no test split: the winner is selected on val, so its score on val is optimistic"
        yield finding("split-test-absent", message, split="test")


def _train(found: Counts) -> Iterator[Finding]:
    """Yield findings about rare classes, imbalance and background in train."""
    train = found.splits["train"]
    seen = {number: count for number, count in train.instances.items() if count}
    few = [number for number, count in seen.items() if count < FEW]
    if few:
        rarest = min(few, key=lambda number: seen[number])
        message = f"{_named(found, few)} rare in train: fewer than {FEW} objects, {_name(found, rarest)} {seen[rarest]}"
        yield finding("balance-class-few", message, split="train", count=len(few))
    if len(seen) > 1:
        yield from _uneven(found, seen)
    background = train.empty + train.unlabelled
    share = background / train.images if train.objects else 0.0  # without any object there is nothing to balance
    if share > EMPTY:
        unlabelled = f" ({train.unlabelled} of them have no label file)" if train.unlabelled else ""
        yield finding(
            "balance-empty",
            f"{background} of {train.images} images of train ({share:.0%}) have no object{unlabelled}",
            split="train", count=background, **_note_if(share <= MOSTLY_EMPTY),
        )  # fmt: skip


def _uneven(found: Counts, seen: Mapping[int, int]) -> Iterator[Finding]:
    """Yield the class imbalance; oversampling images helps only if images differ in their classes."""
    in_images = found.splits["train"].images_with
    most, least = max(seen, key=lambda number: seen[number]), min(seen, key=lambda number: seen[number])
    objects = seen[most] / seen[least]
    images = max(in_images.values()) / min(in_images[number] for number in seen)
    ratio = max(objects, images)
    if ratio >= UNEVEN:
        helps = found.task == "classify" or images >= UNEVEN
        other = "train.cls_pw" if found.task != "classify" else ""
        yield finding(
            "balance-uneven",
            f"classes are imbalanced in train: {_name(found, most)} has {seen[most]} objects, {_name(found, least)} "
            f"{seen[least]} ({objects:.3g} to 1; in images {images:.3g} to 1)",
            fix="set or search " + " and ".join(filter(None, ["train.balance" if helps else "", other])) + ", e.g. 0.5",
            split="train", **_note_if(ratio < VERY_UNEVEN),
        )  # fmt: skip


def val_objects_needed(apart: float = _APART, *, disagree: float = _DISAGREE) -> int:
    """Return how many labelled objects (in classify: images) distinguish two trials that differ by ``apart``.

    Two trials are scored on the same objects, so only those on which exactly one is right count. Their share
    ``disagree`` gives the difference of the two rates a standard error of at most sqrt(disagree / n), as in McNemar's
    test; ``apart`` shall be two of them: n = 4 * disagree / apart^2. One in ten corresponds to a correlation of 0.8
    between two trials at a rate of one half: 2 * 1/2 * 1/2 * (1 - 0.8).

    A rule of thumb and a lower bound: mAP is not a plain rate, and objects of one image are not independent.
    """
    return math.ceil(round(4 * disagree / apart**2, 6))


def _val(found: Counts) -> Iterator[Finding]:
    """Yield a warning if val cannot distinguish two trials that differ by 0.02, with the size that could."""
    val, needed = found.splits["val"], val_objects_needed()
    if not 0 < val.objects < needed:
        return
    blind = 2 * math.sqrt(_DISAGREE / val.objects)
    images = math.ceil(needed * val.images / val.objects)
    what = "images" if found.task == "classify" else "objects"
    fix = f"about {needed} {what} distinguish trials that differ by {_APART:g}" + (
        "" if what == "images" else f": {images} images like these"
    )
    yield finding(
        "split-val-small",
        f"val has {val.objects} {what} in {val.images} images: two trials that differ by less than {blind:.2g} cannot "
        f"be distinguished (a lower bound: twice the standard error sqrt({_DISAGREE:g} / {val.objects}))",
        fix=fix, split="val",
    )  # fmt: skip


def _small_boxes(layout: Layout, image_facts: Images, labels: Labels, imgsz: int) -> Iterator[Finding]:
    """Yield a warning per split with boxes too small at an image size, with the size that suffices."""
    for split, items in layout.splits.items():
        sides = np.fromiter(shorter_sides(items, image_facts, labels), dtype=np.float64)
        small = int((sides * imgsz < SMALL_PX).sum())
        if not len(sides) or small / len(sides) <= SMALL_SHARE:
            continue
        needed = SMALL_PX / float(np.quantile(sides, SMALL_SHARE, method="lower"))
        fitting = math.ceil(needed / _STRIDE - 1e-9) * _STRIDE
        fix = f"set train.imgsz to {fitting}" if fitting <= _LARGEST else "tile the images"
        yield finding(
            "balance-boxes-small",
            f"{small} of {len(sides)} boxes of {split} ({small / len(sides):.0%}) have a side below {SMALL_PX:g} "
            f"pixels at imgsz={imgsz}",
            fix=fix, split=split, count=small,
        )  # fmt: skip


def shorter_sides(items: Iterable[Item], image_facts: Images, labels: Labels) -> Iterator[float]:
    """Yield the shorter side of every box as a share of its image's longer side, which becomes imgsz pixels long."""
    for item in items:
        facts, label = image_facts.get(item.image), labels.get(item.label) if item.label is not None else None
        if facts is None or label is None or not facts.width or not facts.height:
            continue
        turned = facts.orientation >= 5
        width, height = (facts.height, facts.width) if turned else (facts.width, facts.height)
        for row in label.rows:
            side = min(row.box[2] * width, row.box[3] * height) / max(width, height)
            if side > 0:  # boxes without area have their own finding
                yield side


def _note_if(yes: bool) -> dict[str, Severity]:
    return {"severity": Severity.NOTE} if yes else {}


def _name(found: Counts, number: int) -> str:
    name = found.names[number]
    return name if len(name) <= 40 else name[:39] + "…"


def _named(found: Counts, numbers: Sequence[int]) -> str:
    """Return ``class a is``, ``classes a, b are``, ``9 classes (a, b, …) are``."""
    listed = ", ".join(_name(found, number) for number in numbers[:_SHOWN])
    if len(numbers) == 1:
        return f"class {listed} is"
    return f"classes {listed} are" if len(numbers) <= _SHOWN else f"{len(numbers)} classes ({listed}, …) are"
