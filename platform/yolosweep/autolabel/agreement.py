"""Agreement of two sets of boxes: greedy matching, precision and recall with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from yolosweep.diagnosis.proportion_intervals import wilson

__all__ = ["Agreement", "Box", "HumanLabel", "PredictedLabel", "agreement", "iou", "matched"]

Box = tuple[float, float, float, float]
"""Normalized center x, center y, width, height."""


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
    """Normalized x, y, x, y… of its polygon; empty for a plain box."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of a model's boxes with human ones."""

    right: int
    """Model boxes that match a human box."""
    extra: int
    """Model boxes without a match."""
    missed: int
    """Human boxes without a match."""

    @property
    def precision(self) -> float | None:
        """Share of the model boxes that match; None without any."""
        return self.right / (self.right + self.extra) if self.right + self.extra else None

    @property
    def recall(self) -> float | None:
        """Share of the human boxes that were found; None without any."""
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
    """Return the intersection over union of two boxes, 0 to 1; 0 if either has no area."""
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
    """Match model boxes to human boxes and return pairs of indices.

    In order of confidence, each model box takes the remaining human box of its class with the greatest overlap, of at
    least ``least`` (intersection over union), as in PASCAL VOC (Everingham et al. 2010) and COCO.
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
    """Return the agreement over all images by class number, for classes that occur."""
    right, drew, there = Counter[int](), Counter[int](), Counter[int]()
    for proposed, known in images:
        right.update(known[k].category for _, k in matched(proposed, known))
        drew.update(box.category for box in proposed)
        there.update(box.category for box in known)
    return {c: Agreement(right[c], drew[c] - right[c], there[c] - right[c]) for c in sorted({*drew, *there})}
