"""What is right and wrong on an image: matching, kinds, order and counts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from yolosweep.diagnosis.mistakes import MistakeKind, Size, by_class, by_size, examined, worst_first
from yolosweep.records.image_predictions import Answer, Shape

BOX = (0.1, 0.1, 0.3, 0.3)


def answer(
    labels: str, predictions: Sequence[tuple[str, float]], overlaps: Sequence[Sequence[float]], **more: object
) -> Answer:
    """Return an image; labels are one letter each, and ``overlaps`` has a row per label."""
    table = tuple(map(tuple, overlaps))
    about: dict[str, object] = {"image": "a.jpg", "width": 100, "height": 100, "fits": table, "overlaps": table}
    shapes = tuple(Shape(name=name, box=BOX) for name in labels)
    found = tuple(Shape(name=name, box=BOX, confidence=confidence) for name, confidence in predictions)
    return Answer.model_validate({**about, "labels": shapes, "predictions": found, **more})


def kinds(one: Answer, confidence: float = 0.25) -> list[tuple[str, int | None, int | None]]:
    return [(m.kind.value, m.label, m.prediction) for m in examined(one, confidence).mistakes]


@pytest.mark.parametrize(
    ("labels", "predictions", "overlaps", "expected"),
    [
        ("a", [("a", 0.9)], [[0.5]], []),
        ("a", [("a", 0.9)], [[0.49]], [("poor fit", 0, 0)]),
        ("a", [("a", 0.9)], [[0.09]], [("missed", 0, None), ("false positive", None, 0)]),
        ("a", [("b", 0.9)], [[0.7]], [("wrong class", 0, 0)]),
        ("a", [("b", 0.9)], [[0.3]], [("missed", 0, None), ("false positive", None, 0)]),
        ("a", [("a", 0.2)], [[0.9]], [("missed", 0, None)]),
        ("a", [], [], [("missed", 0, None)]),
        ("", [("a", 0.9)], [], [("false positive", None, 0)]),
        ("a", [("a", 0.9), ("a", 0.8)], [[0.9, 0.8]], [("false positive", None, 1)]),
        ("ab", [("b", 0.9), ("a", 0.8)], [[0.8, 0.9], [0.1, 0.1]], [("poor fit", 1, 0)]),
    ],
)
def test_each_label_and_prediction_has_one_fate(
    labels: str,
    predictions: list[tuple[str, float]],
    overlaps: list[list[float]],
    expected: list[tuple[str, int | None, int | None]],
) -> None:
    assert kinds(answer(labels, predictions, overlaps)) == expected


def test_a_prediction_takes_the_label_that_it_fits_best() -> None:
    one = examined(answer("aa", [("a", 0.9), ("a", 0.8)], [[0.6, 0.55], [0.9, 0.5]]), 0.25)
    assert sorted(one.right) == [(0, 1), (1, 0)]
    assert not one.mistakes


def test_a_good_box_with_a_bad_mask_or_bad_keypoints_is_a_poor_fit() -> None:
    assert kinds(answer("a", [("a", 0.9)], [[0.8]], fits=((0.2,),))) == [("poor fit", 0, 0)]


def test_fates_add_up_on_any_image() -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    shares = st.floats(0, 1)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        labels = data.draw(st.text("abc", max_size=5))
        found = data.draw(st.lists(st.tuples(st.sampled_from("abc"), shares), max_size=5))
        row = st.lists(shares, min_size=len(found), max_size=len(found))
        table = data.draw(st.lists(row, min_size=len(labels), max_size=len(labels)))
        one = examined(answer(labels, found, table), 0.3)
        matched = [at for at, _ in one.right] + [m.label for m in one.mistakes if m.label is not None]
        used = [at for _, at in one.right] + [m.prediction for m in one.mistakes if m.prediction is not None]
        assert sorted(matched) == list(range(len(labels)))
        assert sorted(used) == list(range(len(one.answer.predictions)))
        assert all(0 <= mistake.weight <= 1 for mistake in one.mistakes)
        tallies = by_class([one]).values()
        assert sum(tally.labels for tally in tallies) == len(labels)
        for tally in tallies:
            assert tally.labels == tally.right + tally.missed + tally.wrong_class + tally.poor_fit
        assert sum(tally.predictions for tally in tallies) == len(one.answer.predictions)

    check()


def test_the_worst_image_comes_first() -> None:
    fine = examined(answer("a", [("a", 0.9)], [[0.9]], image="fine.jpg"), 0.25)
    doubtful = examined(answer("", [("a", 0.3)], [], image="doubtful.jpg"), 0.25)
    sure = examined(answer("", [("a", 0.9)], [], image="sure.jpg"), 0.25)
    missed = examined(answer("a", [], [], image="missed.jpg"), 0.25)
    also = examined(answer("a", [], [], image="also.jpg"), 0.25)
    ranked = worst_first([fine, doubtful, missed, sure, also])
    assert [one.answer.image for one in ranked] == ["also.jpg", "missed.jpg", "sure.jpg", "doubtful.jpg", "fine.jpg"]


def test_counts_per_class_name_the_class_of_the_label() -> None:
    found = by_class([examined(answer("ab", [("b", 0.9)], [[0.8], [0.0]]), 0.25)])
    assert (found["a"].labels, found["a"].wrong_class, found["a"].right) == (1, 1, 0)
    assert (found["b"].labels, found["b"].missed, found["b"].predictions) == (1, 1, 1)
    assert found["a"].recall_95 == pytest.approx((0, 0.793), abs=0.001)
    assert found["a"].precision_95 == (0, 1)


@pytest.mark.parametrize(("side", "size"), [(31, Size.SMALL), (32, Size.MEDIUM), (95, Size.MEDIUM), (96, Size.LARGE)])
def test_sizes_have_the_limits_of_coco(side: int, size: Size) -> None:
    label = Shape(name="a", box=(0, 0, side / 128, side / 128))
    one = Answer(image="a.jpg", width=128, height=128, labels=(label,))
    (found,) = by_size([examined(one, 0.25)]).items()
    assert found[0] is size
    assert found[1].missed == 1


def test_the_area_of_an_outline_is_what_it_encloses() -> None:
    triangle = Shape(name="a", box=(0, 0, 1, 1), outline=((0, 0), (1, 0), (0, 1)))
    one = Answer(image="a.jpg", width=40, height=40, labels=(triangle,))
    assert list(by_size([examined(one, 0.25)])) == [Size.SMALL]  # 800 of 1600 pixels


def test_labels_of_whole_images_have_no_size() -> None:
    one = Answer(
        image="a.jpg", width=0, height=0, fits=((1.0,),), overlaps=((1.0,),),
        labels=(Shape(name="cat"),), predictions=(Shape(name="dog", confidence=0.7),),
    )  # fmt: skip
    assert kinds(one, 0.0) == [("wrong class", 0, 0)]
    assert by_size([examined(one, 0.0)]) == {}


def test_kinds_are_listed_once() -> None:
    assert [kind.value for kind in MistakeKind] == ["missed", "false positive", "wrong class", "poor fit"]
