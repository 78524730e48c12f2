"""The rules on several objectives: limits, the Pareto front, its knee, and the order of the trials."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.records.footprint import FOOTPRINTS, Footprint
from yolosweep.records.objectives import Objective, Values, rule_of, standing

SCORE = Objective(metric="metrics/mAP50-95(B)")
FAST = Objective(metric="latency_ms", mode="min")
LIMITED = Objective(metric="latency_ms", mode="min", limit=15)


@pytest.mark.parametrize("name", [*FOOTPRINTS, "val/box_loss"])
def test_less_is_better_of_footprints_and_losses(name: str) -> None:
    assert Objective.model_validate({"metric": name}).mode == "min"


def test_more_is_better_of_metrics_and_a_given_mode_stays() -> None:
    assert Objective.model_validate({"metric": "metrics/recall(B)"}).mode == "max"
    assert Objective.model_validate({"metric": "metrics/recall(B)", "mode": "min"}).mode == "min"


def test_every_objective_of_the_model_is_a_value_of_its_footprint() -> None:
    assert all(Footprint(**{name: 2.0}).value(name) == 2.0 for name in FOOTPRINTS)


def test_the_front_holds_what_no_other_trial_dominates() -> None:
    found = standing(
        (SCORE, FAST),
        "first",
        {
            **{"t0": (0.5, 20.0), "t1": (0.6, 30.0), "t2": (0.5, 25.0)},
            **{"t3": (0.3, 5.0), "t4": (0.5, 20.0), "t5": (0.9, None)},
        },
    )
    assert found.front == ("t1", "t0", "t4", "t3")  # two that are alike are both on it, an unknown value is not
    assert found.ranking == ("t5", "t1", "t0", "t4", "t2", "t3")
    assert found.outside == frozenset()


def test_trials_beyond_a_limit_come_last_and_are_on_no_front() -> None:
    found = standing(
        (SCORE, LIMITED), "first", {"t0": (0.9, 15.1), "t1": (0.4, 15.0), "t2": (0.5, None), "t3": (0.3, 9.0)}
    )
    assert found.ranking == ("t1", "t3", "t0", "t2")
    assert found.outside == {"t0", "t2"}
    assert found.front == ("t1", "t3")


def test_a_limit_on_more_is_better() -> None:
    recall = Objective(metric="metrics/recall(B)", limit=0.8)
    assert recall.is_met(0.8)
    assert not recall.is_met(0.79)
    assert recall.text == "recall(B) >= 0.8"


def test_the_knee_is_nearest_to_the_best_value_of_each() -> None:
    trials: dict[str, Values] = {"t0": (0.60, 40.0), "t1": (0.58, 12.0), "t2": (0.30, 10.0), "t3": (0.57, 13.0)}
    assert standing((SCORE, FAST), "knee", trials).ranking == ("t1", "t3", "t0", "t2")
    assert standing((SCORE, FAST), "first", trials).ranking == ("t0", "t1", "t3", "t2")


def test_one_objective_has_no_front() -> None:
    assert standing((SCORE,), "first", {"t0": (0.1,), "t1": (0.2,)}) == (("t1", "t0"), (), frozenset())


@given(st.dictionaries(st.integers(0, 30).map(str), st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1))
@settings(deadline=None)
def test_the_front_is_what_a_comparison_of_all_pairs_gives(trials: dict[str, tuple[int, int]]) -> None:
    def dominates(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one[0] >= other[0] and one[1] <= other[1] and one != other

    values = {name: (float(a), float(b)) for name, (a, b) in trials.items()}
    expected = {n for n, value in trials.items() if not any(dominates(one, value) for one in trials.values())}
    assert set(standing((SCORE, FAST), "first", values).front) == expected
    assert standing((SCORE, FAST), "knee", values).ranking[0] in expected


def test_the_rule_is_said_in_words() -> None:
    assert rule_of((SCORE, LIMITED), "first") == "the highest mAP50-95(B) among the trials with latency_ms <= 15"
    assert "Pareto front" in rule_of((SCORE, FAST), "knee")
    assert math.isclose(LIMITED.loss(3.0), 3.0)
