"""Whether two pictures that look alike are the same picture, or the same scene at another moment.

A pair is compared at the size of objects (:mod:`comparison_pictures`), region by region, because frames of a fixed
camera agree in all but a few cars. Two exposures also differ in their sensor noise, which every copy inherits: where
the framing is the same, noise decides whether pictures without a visible difference are copies, and whether a picture
with a logo, banner or cut-out is one. Drawn pictures, such as forms, have none: there, another word is a difference.
Copies that were cropped, turned or given a border are aligned by SIFT keypoints (Lowe 2004) first.

Figures: ``python -m tests.bench.leaks --pictures``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from yolosweep.data.duplicates.comparison_pictures import (
    BLUR,
    VIEW,
    Calm,
    Keypoints,
    View,
    Views,
    calmed,
    window_mean,
    windows_of,
)
from yolosweep.data.duplicates.sensor_noise import Band, Noise, common_noise

__all__ = ["Verdict", "Verdicts", "single_threaded"]

Array = np.ndarray[Any, Any]
Boxes = Sequence[tuple[int, tuple[float, float, float, float]]]


class Verdict(Enum):
    """What two pictures are to each other."""

    COPY = "copy"
    ALIKE = "alike"
    """No difference is visible, and nothing proves one exposure or two: a copy, unless its scene has many frames."""
    SCENE = "scene"
    OTHER = "other"


_MARGIN = 19
"""Pixels around an aligned pixel that must be inside, too: blur and window."""
_DIFFERS = 0.3
"""A window differs if its unexplained part exceeds this share of the picture's contrast."""
_SAME, _ALIGNED = 0.002, 0.03
"""Largest share of differing pixels of copies, in the same framing and after alignment."""
_AGREES = 0.3
"""Least share of structured windows that agree in copies, however noisy."""
_SAME_SCENE = 0.6
"""Least share of structured windows that agree in two frames of one scene."""
_PATCH, _SEARCH, _STILL = 64, 8, 0.5
"""Side of the patches in the corners of a still picture, how far they are sought, and how well they match, pixels."""
_STRONG_BLUR = 4.0
"""Blur before views are compared, pixels, where one of them is much sharper or noisier."""
_WORD = 0.0001
"""Share of a page that differs if one word does: 0.0002 or more in forms of 480 to 2,480 pixels, 0 in copies."""
_OVERLAY = 0.7
"""Largest share of a picture that a banner, logo, watermark or cut-out changes."""
_SHARED, _INDEPENDENT, _AS_NOISY = 0.92, 0.45, 0.7
"""Share of the common noise: at least, in copies; at most, in two exposures, if their noise is about equally strong."""
_PLAIN, _BLEED = 4, 12
"""Gray levels within which a line is part of a bar, and how far a blurred bar reaches into the picture, pixels."""
_INLIERS = 15
_CONTAINED, _AREA, _CENTRED, _MOVED = 0.97, 0.42, 0.06, 2.5
"""Least share of one picture that the other contains; least ratio of areas; largest shift of the middle, as a share of
the side; least shift of a corner, pixels: frames of a still camera are not moved."""
_LIKE, _NEGATIVE = 0.5, 0.8
"""Least correlation of small pictures of which one may be a turned, blurred or noisy copy; or the other's negative."""
_BOX_TOLERANCE = 0.02


class _Difference(NamedTuple):
    share: float
    """Of the pixels that differ."""
    agreement: float
    """Of the structured windows that agree."""

    @property
    def is_none(self) -> bool:
        """Whether no difference is visible; where little agrees, something large and dark hides it."""
        return self.share <= _SAME and self.agreement >= _AGREES


class Verdicts:
    """Judges pairs of files."""

    def __init__(self, views: Views, boxes: Callable[[Path], Boxes | None]) -> None:
        self._views, self._boxes = views, boxes

    def is_same_scene(self, one: Path, two: Path) -> bool:
        """Return whether two pictures agree as they are in most windows."""
        first, second = self._views.view(one), self._views.view(two)
        return first is not None and second is not None and difference(first.calm, second.calm).agreement >= _SAME_SCENE

    def of(self, one: Path, two: Path, turns: Sequence[int], *, align: bool) -> Verdict:
        """Return what two pictures are to each other.

        Args:
            one: A file.
            two: Another.
            turns: Ways to turn the second (:func:`turned`) that are worth trying, the likeliest first.
            align: Also look for crops, borders and rotations.
        """
        first, second = self._views.view(one), self._views.view(two)
        if first is None or second is None:
            return Verdict.OTHER
        straight = _straight(first, second)
        verdict = self._same_frame(one, two, straight)
        turned_a_little = (
            verdict is Verdict.SCENE and straight.share > _ALIGNED and not is_still(first.grey, second.grey)
        )
        if verdict is not Verdict.OTHER and not turned_a_little:
            return verdict
        if turned_a_little:
            turns = (0,)
        for turn in turns:
            if (
                turn
                and _likeness(first, second, turn) >= _LIKE
                and difference(first.calm, _turned(second, turn)).is_none
            ):
                return Verdict.COPY
        if verdict is Verdict.OTHER and _is_negative(first, second):
            return Verdict.COPY
        # Keypoints are the same in a picture turned by 90 degrees, but not in a mirrored one.
        mirrored = dict.fromkeys(turn in (1, 2, 4, 7) for turn in turns)
        if align and any(self._aligned(one, two, mirrored=one_way) for one_way in mirrored):
            return Verdict.COPY
        return verdict

    def _same_frame(self, one: Path, two: Path, straight: _Difference) -> Verdict:
        first, second = self._views.view(one), self._views.view(two)
        assert first is not None
        assert second is not None
        moved = _differ(self._boxes(one), self._boxes(two))
        comparable = first.size == second.size
        noise = self._noise(one, two, Band.FINE) if comparable and straight.share <= _OVERLAY else None
        shared = noise is not None and noise.shared >= _SHARED
        least = straight
        if noise is not None and noise.ratio < 0.5 and not straight.is_none and _likeness(first, second) >= _LIKE:
            # One of them is blurred or noisy: compare what is left of both.
            blur = _STRONG_BLUR if noise.ratio >= 0.1 else 2 * _STRONG_BLUR
            least = difference(calmed(first.grey, blur), calmed(second.grey, blur))
        apart = least.is_none and noise is not None and noise.ratio >= _AS_NOISY
        if apart:
            coarse = self._noise(one, two, Band.COARSE)
            apart = coarse is not None and coarse.shared < _INDEPENDENT
        drawn = noise is not None and noise.drawn
        if least.is_none and not apart:
            if moved and (straight.share or not shared) and comparable:
                return Verdict.SCENE
            if drawn and not self._same_words(one, two):
                return Verdict.SCENE
            return Verdict.COPY if shared or not comparable else Verdict.ALIKE
        if shared and not moved and not drawn:
            return Verdict.COPY
        return Verdict.SCENE if straight.agreement >= _SAME_SCENE or least.is_none else Verdict.OTHER

    def _same_words(self, one: Path, two: Path) -> bool:
        first, second = self._views.page(one), self._views.page(two)
        return first is None or second is None or difference(first, second).share < _WORD

    def _noise(self, one: Path, two: Path, band: Band) -> Noise | None:
        first, second = self._views.detail(one, band), self._views.detail(two, band)
        return common_noise(first, second) if first and second else None

    def _aligned(self, one: Path, two: Path, *, mirrored: bool) -> bool:
        first, second = self._views.view(one), self._views.view(two)
        if not first or not second:
            return False
        mine, theirs = self._views.keypoints(one), self._views.keypoints(two)
        move = _homography(mine, theirs.mirrored() if mirrored else theirs) if mine and theirs else None
        if move is None or not _is_crop(move):
            return False
        turn = 1 if mirrored else 0
        if difference(first.calm, _turned(second, turn), move).share <= _ALIGNED:
            return True
        # A lens, or a projection fitted to few keypoints, is off by some pixels.
        mine_calm, theirs_calm = (calmed(view, _STRONG_BLUR) for view in (first.grey, turned(second.grey, turn)))
        return difference(mine_calm, theirs_calm, move).share <= _ALIGNED / 3


def _opencv() -> ModuleType:
    """Import OpenCV, which puts a folder into ``LD_LIBRARY_PATH``; it would reach all programs that are started."""
    before = os.environ.get("LD_LIBRARY_PATH")
    import cv2

    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before
    return cv2


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let OpenCV use one thread per call: views are small, and pairs are judged side by side."""
    cv2 = _opencv()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _straight(first: View, second: View) -> _Difference:
    """Compare two views as they are; where the smaller picture has fewer pixels than a view, more coarsely."""
    coarser = VIEW / min(*first.size, *second.size) if first.size != second.size else 1.0
    if coarser <= 1:
        return difference(first.calm, second.calm)
    blur = BLUR * min(coarser, 3.0)
    return difference(calmed(first.grey, blur), calmed(second.grey, blur))


def _is_negative(first: View, second: View) -> bool:
    """Return whether one view is the negative of the other."""
    if _likeness(first, second) > -_NEGATIVE:
        return False
    return difference(first.calm, windows_of(255 - second.calm.grey)).is_none


def _likeness(first: View, second: View, turn: int = 0) -> float:
    """Return how small pictures correlate, the second turned."""
    return float((first.coarse * turned(second.coarse, turn)).sum())


def _turned(view: View, turn: int) -> Calm:
    return Calm(*(turned(values, turn) for values in view.calm))


def turned(grey: Array, turn: int) -> Array:
    """Return a square picture turned: bit 0 left and right, bit 1 top and bottom, bit 2 transposed first."""
    grey = grey.T if turn & 4 else grey
    grey = grey[:, ::-1] if turn & 1 else grey
    return np.ascontiguousarray(grey[::-1] if turn & 2 else grey)


def difference(first: Calm, second: Calm, move: Array | None = None) -> _Difference:
    """Compare two calmed views window by window, whatever the light: a gain and an offset may explain the other.

    Args:
        first: A view.
        second: Another.
        move: Projection, shape (3, 3), from the second onto the first.
    """
    import cv2

    inside: Array | None = None
    if move is not None:
        second = windows_of(cv2.warpPerspective(second.grey, move, (VIEW, VIEW), borderMode=cv2.BORDER_REPLICATE))
        mask = cv2.warpPerspective(np.ones((VIEW, VIEW), np.uint8), move, (VIEW, VIEW), flags=cv2.INTER_NEAREST)
        # The blur and the window mix what is inside with what a border, or the edge of a rotated picture, is beside it.
        inside = cv2.erode(mask, np.ones((_MARGIN, _MARGIN), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        if inside.mean() < 0.2:
            return _Difference(1.0, 0.0)
        cells: Any = inside[::2, ::2] > 0
        least_one, least_two = (cv2.meanStdDev(view.grey, mask=inside)[1].item() ** 2 + 1 for view in (first, second))
    else:
        shown = _shown(first.grey, second.grey)
        cells = tuple(slice((part.start + 1) // 2, part.stop // 2) for part in shown)
        least_one, least_two = (cv2.meanStdDev(view.grey[shown])[1].item() ** 2 + 1 for view in (first, second))
    products = window_mean(cv2.multiply(first.grey, second.grey, dtype=cv2.CV_32F))
    common = np.maximum(products - first.mean * second.mean, 0)[cells] ** 2
    one, two = first.spread[cells], second.spread[cells]
    apart = common < 0.5 * one * two + 1e-3
    structured = (one > 0.01 * least_one) | (two > 0.01 * least_two)
    # What a gain and an offset leave unexplained of a window, times the variance of the other's.
    differs = ((one - _DIFFERS**2 * least_one) * two > common) | ((two - _DIFFERS**2 * least_two) * one > common)
    agreement = 1 - float((apart & structured).sum() / max(1, int(structured.sum())))
    return _Difference(float((differs & apart).mean()), agreement)


def _shown(first: Array, second: Array) -> tuple[slice, slice]:
    """Return the part of two views inside the bars of a letterbox: their contrast would hide all other."""
    edges = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
    if all(max(np.ptp(first[edge]), np.ptp(second[edge])) > _PLAIN for edge in edges):
        return slice(0, len(first)), slice(0, len(first))
    parts = []
    side = len(first)
    for axis in (1, 0):
        lines = np.flatnonzero(np.maximum(np.ptp(first, axis), np.ptp(second, axis)) > _PLAIN)
        start, stop = (int(lines[0]), int(lines[-1]) + 1) if len(lines) else (0, side)
        start, stop = start + _BLEED * (start > 0), stop - _BLEED * (stop < side)
        parts.append(slice(start, stop) if stop - start >= side // 4 else slice(0, side))
    return parts[0], parts[1]


def is_still(first: Array, second: Array) -> bool:
    """Return whether the corners of two views are in the same places, as in frames of a fixed camera."""
    import cv2

    ends, moved = (_SEARCH, VIEW - _PATCH - _SEARCH), 0
    for top, left in product(ends, ends):
        patch = first[top : top + _PATCH, left : left + _PATCH]
        around = second[top - _SEARCH : top + _PATCH + _SEARCH, left - _SEARCH : left + _PATCH + _SEARCH]
        _, best, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED))
        moved += best < _STILL or max(abs(x - _SEARCH), abs(y - _SEARCH)) > 1
        if moved > 1:
            return False
    return True


def _homography(mine: Keypoints, theirs: Keypoints) -> Array | None:
    """Return the projection that most matched keypoints follow; None if too few do."""
    import cv2

    products = theirs.descriptors @ mine.descriptors.T
    rows = np.arange(len(products))
    best = products.argmax(axis=1)
    first = products[rows, best].copy()
    products[rows, best] = -1
    good = 1 - first < 0.72 * (1 - products.max(axis=1))
    if good.sum() < _INLIERS:
        return None
    move, fits = cv2.findHomography(
        theirs.places[good], mine.places[best[good]], cv2.USAC_MAGSAC, 3, maxIters=10_000, confidence=0.999
    )
    if move is None or fits.sum() < _INLIERS or abs(np.linalg.det(move)) < 1e-6:  # all points on one line
        return None
    return np.asarray(move)


def _is_crop(move: Array) -> bool:
    """Return whether one picture contains the other, or both have one middle: frames of a moving camera do neither."""
    import cv2

    corners = np.array([[[0, 0]], [[VIEW, 0]], [[VIEW, VIEW]], [[0, VIEW]]], np.float32)
    grid = np.stack(np.meshgrid(*[np.linspace(0, VIEW, 33, dtype=np.float32)] * 2), -1).reshape(-1, 1, 2)
    there, back = cv2.perspectiveTransform(corners, move), cv2.perspectiveTransform(grid, np.linalg.inv(move))
    area = cv2.contourArea(there) / VIEW**2
    if not (cv2.isContourConvex(there) and _AREA <= area <= 1 / _AREA and np.abs(there - corners).max() >= _MOVED):
        return False
    contained = max(
        ((points > -4) & (points < VIEW + 4)).all((1, 2)).mean()
        for points in (cv2.perspectiveTransform(grid, move), back)
    )
    middle = cv2.perspectiveTransform(np.full((1, 1, 2), VIEW / 2, np.float32), move)
    centred = np.abs(middle - VIEW / 2).max() <= _CENTRED * VIEW
    return bool(contained >= _CONTAINED or (centred and contained >= 0.75))


def _differ(one: Boxes | None, two: Boxes | None) -> bool:
    """Return whether two label files name other objects; files without a label file are no evidence."""
    if one is None or two is None:
        return False
    left = list(two)
    for category, box in one:
        same = [
            other
            for other in left
            if other[0] == category and all(abs(a - b) <= _BOX_TOLERANCE for a, b in zip(box, other[1], strict=True))
        ]
        if not same:
            return True
        left.remove(same[0])
    return bool(left)
