"""How far two sets of boxes agree: greedy matching, precision and recall with their uncertainty. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Agreement", "Box", "HumanLabel", "PredictedLabel", "agreement", "iou", "matched", "wilson"]

Box = tuple[float, float, float, float]
"""Middle x, middle y, width, height, as shares of the image."""


class HumanLabel(NamedTuple):
    """A box that a person drew."""

    category: int
    box: Box


class PredictedLabel(NamedTuple):
    """A box that a model drew."""

    category: int
    box: Box
    score: float
    """The model's confidence, 0 to 1."""
    points: tuple[float, ...] = ()
    """x, y, x, y… of its polygon as shares of the image; empty where it is a box only."""


@dataclass(frozen=True)
class Agreement:
    """What a model's boxes are worth, measured on a person's."""

    right: int
    """Boxes of the model that match one of the person."""
    extra: int
    """Boxes of the model that match none."""
    missed: int
    """Boxes of the person that match none."""

    @property
    def precision(self) -> float | None:
        """Share of the model's boxes that are right; None without any."""
        return self.right / (self.right + self.extra) if self.right + self.extra else None

    @property
    def recall(self) -> float | None:
        """Share of the person's boxes that were found; None without any."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None

    @property
    def precision_range(self) -> tuple[float, float]:
        """95 % interval of the precision."""
        return wilson(self.right, self.right + self.extra)

    @property
    def recall_range(self) -> tuple[float, float]:
        """95 % interval of the recall."""
        return wilson(self.right, self.right + self.missed)


def iou(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union, 0 to 1; 0 where either has no area."""
    sides = []
    for axis in (0, 1):
        low = max(one[axis] - one[axis + 2] / 2, other[axis] - other[axis + 2] / 2)
        high = min(one[axis] + one[axis + 2] / 2, other[axis] + other[axis + 2] / 2)
        sides.append(max(high - low, 0.0))
    overlap = sides[0] * sides[1]
    union = one[2] * one[3] + other[2] * other[3] - overlap
    return min(overlap / union, 1.0) if overlap > 0 and union > 0 else 0.0


def matched(
    proposed: Sequence[PredictedLabel], known: Sequence[HumanLabel], least: float = 0.5
) -> list[tuple[int, int]]:
    """Return which of the model's boxes are which of the person's, as pairs of places.

    The model's surest box chooses first, among those of its class that are left, the one it overlaps most (as PASCAL
    VOC counts, Everingham et al. 2010, and COCO after it), by at least ``least`` (intersection over union).
    """
    free = set(range(len(known)))
    pairs = []
    for place in sorted(range(len(proposed)), key=lambda place: -proposed[place].score):
        mine = proposed[place]
        fits = [(iou(mine.box, known[k].box), -k) for k in free if known[k].category == mine.category]
        best, minus = max(fits, default=(0.0, 0))
        if best >= least and best > 0:
            free.remove(-minus)
            pairs.append((place, -minus))
    return pairs


def agreement(images: Iterable[tuple[Sequence[PredictedLabel], Sequence[HumanLabel]]]) -> dict[int, Agreement]:
    """Return the agreement per class over images, by class number; classes that neither side drew are left out."""
    right, drew, there = Counter[int](), Counter[int](), Counter[int]()
    for proposed, known in images:
        right.update(known[k].category for _, k in matched(proposed, known))
        drew.update(box.category for box in proposed)
        there.update(box.category for box in known)
    return {c: Agreement(right[c], drew[c] - right[c], there[c] - right[c]) for c in sorted({*drew, *there})}


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927): honest for few tries too; 0 to 1 without any."""
    if not tries:
        return 0.0, 1.0
    z = 1.959964
    share, weight = hits / tries, z * z / tries
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / tries + weight / (4 * tries)) / (1 + weight)
    return max(middle - half, 0.0), min(middle + half, 1.0)
