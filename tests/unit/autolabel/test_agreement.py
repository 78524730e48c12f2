"""How far a model's boxes agree with a person's: matching, counting, uncertainty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.autolabel.agreement import Agreement, Box, HumanLabel, PredictedLabel, agreement, iou, matched
from yolosweep.diagnosis.proportion_intervals import wilson

WHOLE: Box = (0.5, 0.5, 1.0, 1.0)
shares = st.floats(0, 1)
boxes = st.tuples(shares, shares, st.floats(0.001, 1), st.floats(0.001, 1))
known = st.lists(st.builds(HumanLabel, st.integers(0, 2), boxes), max_size=8)
proposed = st.lists(st.builds(PredictedLabel, st.integers(0, 2), boxes, shares), max_size=8)

OVERLAPS = {
    "same": (WHOLE, WHOLE, 1.0),
    "apart": ((0.1, 0.1, 0.1, 0.1), (0.9, 0.9, 0.1, 0.1), 0.0),
    "touching": ((0.25, 0.5, 0.5, 1.0), (0.75, 0.5, 0.5, 1.0), 0.0),
    "half": (WHOLE, (0.25, 0.5, 0.5, 1.0), 0.5),
    "crossing": ((0.5, 0.5, 1.0, 0.5), (0.5, 0.5, 0.5, 1.0), 1 / 3),
    "no area": ((0.5, 0.5, 0.0, 1.0), WHOLE, 0.0),
}


@pytest.mark.parametrize(("one", "other", "expected"), OVERLAPS.values(), ids=OVERLAPS.keys())
def test_overlap(one: Box, other: Box, expected: float) -> None:
    assert iou(one, other) == pytest.approx(expected)


@given(boxes, boxes)
def test_overlap_is_a_share_and_the_same_both_ways(one: Box, other: Box) -> None:
    assert 0 <= iou(one, other) <= 1
    assert iou(one, other) == pytest.approx(iou(other, one))
    assert iou(one, one) == pytest.approx(1)


@given(proposed, known)
def test_every_box_is_matched_once_and_to_its_own_class(mine: list[PredictedLabel], theirs: list[HumanLabel]) -> None:
    pairs = matched(mine, theirs)
    assert len({place for place, _ in pairs}) == len({place for _, place in pairs}) == len(pairs)
    for one, other in pairs:
        assert mine[one].category == theirs[other].category
        assert iou(mine[one].box, theirs[other].box) >= 0.5


@given(proposed, known)
def test_no_pair_that_fits_is_left_over(mine: list[PredictedLabel], theirs: list[HumanLabel]) -> None:
    pairs = matched(mine, theirs)
    taken, given_away = {place for place, _ in pairs}, {place for _, place in pairs}
    for one in set(range(len(mine))) - taken:
        for other in set(range(len(theirs))) - given_away:
            fits = mine[one].category == theirs[other].category and iou(mine[one].box, theirs[other].box) >= 0.5
            assert not fits


@given(st.lists(st.tuples(proposed, known), max_size=4))
@pytest.mark.slow
def test_counts_add_up(images: list[tuple[list[PredictedLabel], list[HumanLabel]]]) -> None:
    for category, found in agreement(images).items():
        assert min(found.right, found.extra, found.missed) >= 0
        assert found.right + found.extra == sum(box.category == category for mine, _ in images for box in mine)
        assert found.right + found.missed == sum(box.category == category for _, theirs in images for box in theirs)


@given(known)
def test_a_perfect_model_agrees(theirs: list[HumanLabel]) -> None:
    mine = [PredictedLabel(box.category, box.box, 0.9) for box in theirs]
    for found in agreement([(mine, theirs)]).values():
        assert (found.precision, found.recall) == (1, 1)


def test_the_surest_box_chooses_first() -> None:
    mine = [PredictedLabel(0, (0.5, 0.5, 0.9, 1.0), 0.3), PredictedLabel(0, (0.5, 0.5, 0.8, 1.0), 0.8)]
    assert matched(mine, [HumanLabel(0, WHOLE)]) == [(1, 0)]


def test_what_nobody_drew_has_no_share() -> None:
    assert agreement([([], [])]) == {}
    assert Agreement(0, 0, 3).precision is None
    assert Agreement(0, 3, 0).recall is None
    assert Agreement(0, 3, 0).precision == 0


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_holds_the_share(hits: int, more: int) -> None:
    low, high = wilson(hits, hits + more)
    assert 0 <= low <= high <= 1
    if hits + more:
        assert low <= hits / (hits + more) + 1e-9
        assert high >= hits / (hits + more) - 1e-9


def test_the_interval_is_wilsons() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0, 1)
