"""The pruner's rule, alone."""

import math

from hypothesis import given
from hypothesis import strategies as st

from yolosweep.search.pruners.asha import behind, rungs

scores = st.one_of(st.none(), st.floats(0, 1), st.just(math.nan))


def test_rungs_lie_at_powers_of_the_factor() -> None:
    assert rungs(3, 3, 30) == [3, 9, 27]


@given(st.integers(1, 50), st.integers(2, 5), st.integers(1, 300))
def test_no_rung_owns_the_last_epoch(grace: int, factor: int, epochs: int) -> None:
    assert all(grace <= level < epochs for level in rungs(grace, factor, epochs))


def test_nothing_is_pruned_before_there_is_something_to_compare_with() -> None:
    assert not behind(0.0, [0.9], 3)
    assert behind(0.0, [0.9, 0.8], 3)


def test_a_missing_or_nan_score_is_worst() -> None:
    assert behind(None, [0.0, 0.0], 3)
    assert behind(math.nan, [0.1, None], 3)
    assert not behind(0.1, [math.nan, None], 3)


def test_ties_are_kept() -> None:
    assert not behind(0.0, [0.0] * 20, 3)


def test_less_is_better_in_mode_min() -> None:
    assert behind(0.9, [0.1, 0.2], 3, "min")
    assert not behind(0.1, [0.9, 0.2], 3, "min")


@given(st.lists(scores, min_size=2, max_size=40), st.integers(2, 5))
def test_the_best_of_a_rung_always_goes_on(others: list[float | None], factor: int) -> None:
    assert not behind(2.0, others, factor)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=60, unique=True), st.integers(2, 5))
def test_one_in_factor_survives_when_all_are_compared_at_once(values: list[float], factor: int) -> None:
    kept = [v for v in values if not behind(v, [o for o in values if o != v], factor)]
    assert len(kept) == math.ceil(len(values) / factor)
