"""Scores on the scale that a model of them is fitted on."""

import math

import numpy as np
import pytest

from yolosweep.search.searchers.score_standardization import standardized

NONE = np.zeros(5)


@pytest.mark.parametrize("are_shares", [True, False])
def test_values_come_back_as_they_were(are_shares: bool) -> None:
    values = np.array([0.3, 0.32, 0.28, 0.31, 0.35])
    units, z, _ = standardized(values, NONE, are_shares=are_shares)
    assert (z.mean(), z.std()) == pytest.approx((0.0, 1.0))
    assert units.back(z) == pytest.approx(values)


def test_luck_of_shares_grows_with_them() -> None:
    """A tenth more or less is the same step at 0.2 and at 0.5; so is the deviation of a forecast."""
    values = np.array([0.2, 0.22, 0.5, 0.55, 0.3])
    _, z, variance = standardized(values, 0.1 * values, are_shares=True)
    assert z[1] - z[0] == pytest.approx(z[3] - z[2], rel=0.2)
    assert variance[0] == pytest.approx(variance[2], rel=0.4)
    _, z, _ = standardized(values, NONE)
    assert z[3] - z[2] == pytest.approx(2.5 * (z[1] - z[0]))


@pytest.mark.parametrize("are_shares", [True, False])
def test_how_bad_a_disaster_is_does_not_matter(are_shares: bool) -> None:
    found = [
        standardized(np.array([worst, 0.3, 0.31, 0.31, 0.31, 0.32]), np.zeros(6), are_shares=are_shares)[1]
        for worst in (-math.inf, 0.0, 0.1)
    ]
    assert found[0] == pytest.approx(found[1])
    assert found[0] == pytest.approx(found[2])
    assert found[0][0] == found[0].min()


def test_scores_below_zero_are_no_shares() -> None:
    values = np.array([-0.2, 0.1, 0.2, 0.3, 0.4])
    units, z, _ = standardized(values, NONE, are_shares=True)
    assert units.shift is None
    assert z[2:] == pytest.approx(standardized(values, NONE)[1][2:])
