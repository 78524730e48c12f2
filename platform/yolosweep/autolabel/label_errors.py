"""Human labels that a detector disagrees with confidently: missing boxes, wrong classes, loose boxes.

The three kinds, and ranking them by the detector's confidence, follow ObjectLab (Tkachenko et al. 2023). Its library,
``cleanlab``, needs the labels of all images at once and scikit-learn; here one image is judged at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from yolosweep.autolabel.agreement import HumanLabel, PredictedLabel, iou, matched

__all__ = ["LabelError", "LabelErrorKind", "label_errors"]

_COVERS, _TOUCHES = 0.5, 0.1
"""Least overlap (IoU) of two boxes that mean the same object, and of two that may."""
_TIGHT = 0.75
"""Overlap from which a box is not loose."""


class LabelErrorKind(str, Enum):
    """What may be wrong with a human label."""

    MISSING = "missing box"
    WRONG_CLASS = "wrong class"
    LOOSE = "loose box"


class LabelError(NamedTuple):
    """One suspected error."""

    kind: LabelErrorKind
    score: float
    """0 to 1: how confident the detector is, for a loose box times the share that does not overlap."""
    drawn: int
    """Position of the prediction."""
    known: int | None = None
    """Position of the human label; None for a missing box."""


def label_errors(drawn: Sequence[PredictedLabel], known: Sequence[HumanLabel]) -> list[LabelError]:
    """Return the suspected errors in the human labels of one image, the most confident first.

    A human label that the detector does not see is no suspect: detectors miss objects more often than people invent
    them.
    """
    pairs = matched(drawn, known, _COVERS)
    right, free = {at for at, _ in pairs}, set(range(len(known))) - {k for _, k in pairs}
    found = [_loose(drawn[at], known, at, k) for at, k in pairs]
    for at in sorted(set(range(len(drawn))) - right, key=lambda at: -drawn[at].score):
        error, used = _unmatched(drawn[at], known, at, free)
        free -= {used}
        found.append(error)
    return sorted((one for one in found if one is not None), key=lambda one: -one.score)


def _unmatched(
    mine: PredictedLabel, known: Sequence[HumanLabel], at: int, free: set[int]
) -> tuple[LabelError | None, int | None]:
    """Return what a prediction without its human label means, and the free label that it is about."""
    overlaps = [iou(mine.box, label.box) for label in known]
    other = max(free, key=lambda k: overlaps[k], default=None)
    if other is not None and overlaps[other] >= _COVERS:
        return LabelError(LabelErrorKind.WRONG_CLASS, mine.score, at, other), other
    same = max((k for k in free if known[k].category == mine.category), key=lambda k: overlaps[k], default=None)
    if same is not None and overlaps[same] >= _TOUCHES:
        return _loose(mine, known, at, same), same
    if max(overlaps, default=0.0) >= _COVERS:
        return None, None  # a second prediction of one object
    return LabelError(LabelErrorKind.MISSING, mine.score, at), None


def _loose(mine: PredictedLabel, known: Sequence[HumanLabel], at: int, k: int) -> LabelError | None:
    overlap = iou(mine.box, known[k].box)
    return None if overlap >= _TIGHT else LabelError(LabelErrorKind.LOOSE, mine.score * (1 - overlap), at, k)
