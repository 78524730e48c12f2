"""Suspected errors in human labels: each kind by hand, and how many of the first 50 are planted ones, simulated."""

from __future__ import annotations

import numpy as np
import pytest

from yolosweep.autolabel.agreement import Box, HumanLabel, PredictedLabel
from yolosweep.autolabel.label_errors import LabelErrorKind, label_errors

BOX, APART = (0.3, 0.3, 0.2, 0.2), (0.8, 0.8, 0.1, 0.1)
SHIFTED = (0.36, 0.3, 0.2, 0.2)
"""Overlaps BOX by 0.54."""
FAR = (0.42, 0.3, 0.2, 0.2)
"""Overlaps BOX by 0.25."""

CASES = {
    "all right": ([(0, BOX, 0.9)], [(0, BOX)], []),
    "missing": ([(0, BOX, 0.9), (1, APART, 0.7)], [(0, BOX)], [("missing box", 0.7)]),
    "wrong class": ([(1, BOX, 0.8)], [(0, BOX)], [("wrong class", 0.8)]),
    "loose": ([(0, SHIFTED, 1.0)], [(0, BOX)], [("loose box", 0.46)]),
    "looser": ([(0, FAR, 1.0)], [(0, BOX)], [("loose box", 0.75)]),
    "seen twice": ([(0, BOX, 0.9), (0, SHIFTED, 0.5)], [(0, BOX)], []),
    "not seen": ([], [(0, BOX)], []),
    "worst first": (
        [(0, BOX, 0.4), (1, APART, 0.9)],
        [(0, APART)],
        [("wrong class", 0.9), ("missing box", 0.4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kinds(name: str) -> None:
    drawn, known, expected = CASES[name]
    found = label_errors(
        [PredictedLabel(category, box, score) for category, box, score in drawn],
        [HumanLabel(category, box) for category, box in known],
    )
    assert [(error.kind.value, round(error.score, 2)) for error in found] == expected


def test_most_of_the_first_fifty_are_planted() -> None:
    """A detector that finds 9 of 10 objects, 97 % in their class, with low scores for what is not there."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        truth = [(int(rng.integers(3)), place(rng)) for _ in range(6)]
        known, wrong = planted(truth, rng)
        errors = label_errors(detected(truth, rng), known)
        found += [(error.score, error.kind in wrong) for error in errors]
    first = sorted(found, reverse=True)[:50]
    assert sum(right for _, right in first) >= 40


def place(rng: np.random.Generator) -> Box:
    x, y, width, height = rng.uniform((0.1, 0.1, 0.05, 0.05), (0.9, 0.9, 0.15, 0.15))
    return float(x), float(y), float(width), float(height)


def planted(truth: list[tuple[int, Box]], rng: np.random.Generator) -> tuple[list[HumanLabel], set[LabelErrorKind]]:
    """Return labels of which 5 % each are missing, of another class, or loose, and the kinds that occur."""
    known, kinds = [], set()
    for category, (x, y, width, height) in truth:
        draw = rng.uniform()
        if draw < 0.05:
            kinds.add(LabelErrorKind.MISSING)
        elif draw < 0.1:
            kinds.add(LabelErrorKind.WRONG_CLASS)
            known.append(HumanLabel((category + 1) % 3, (x, y, width, height)))
        elif draw < 0.15:
            kinds.add(LabelErrorKind.LOOSE)
            known.append(HumanLabel(category, (x + width / 2, y, width, height)))
        else:
            known.append(HumanLabel(category, (x, y, width, height)))
    return known, kinds


def detected(truth: list[tuple[int, Box]], rng: np.random.Generator) -> list[PredictedLabel]:
    drawn = []
    for category, box in truth:
        if rng.uniform() < 0.9:
            seen = category if rng.uniform() < 0.97 else int(rng.integers(3))
            x, y, width, height = (float(value) for value in np.array(box) * rng.normal(1, 0.02, 4))
            drawn.append(PredictedLabel(seen, (x, y, width, height), float(rng.beta(8, 2))))
    return [*drawn, PredictedLabel(0, place(rng), float(rng.beta(2, 6)))]
