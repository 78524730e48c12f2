"""The curve model: what it says before it has seen anything, and what complete curves teach it."""

import math

import numpy as np
import pytest

from yolosweep.diagnosis.curve_forecast import CurveModel, Forecast, smoothed

EPOCHS = 40


def curve(final: float, rate: float, late: float = 0.0) -> list[float]:
    """Return a rising curve; ``late`` is the share of the score that comes in the last tenth."""
    t = np.arange(1, EPOCHS + 1) / EPOCHS
    shape = (1 - np.exp(-t / rate)) / (1 - math.exp(-1 / rate))
    return [float(value) for value in final * ((1 - late) * shape + late * (t > 0.9))]


def model(*curves: list[float], mode: str = "max") -> CurveModel:
    return CurveModel(np.array([smoothed(one, mode) for one in curves]).reshape(-1, EPOCHS), mode)


def test_a_smoothed_curve_is_the_best_mean_of_three_epochs() -> None:
    assert smoothed([0.3, 0.0, 0.6, 0.9, 0.0]).tolist() == pytest.approx([0.3, 0.3, 0.3, 0.5, 0.5])
    assert smoothed([3.0, 1.0, 5.0], "min").tolist() == pytest.approx([3.0, 2.0, 2.0])


def test_a_missing_score_repeats_the_one_before() -> None:
    assert smoothed([0.4, None, math.nan]).tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert smoothed([None, 0.4])[0] == 0.0
    assert smoothed([None, 2.0, 2.0, 2.0], "min").tolist() == [math.inf, math.inf, math.inf, 2.0]


def test_without_complete_curves_a_gain_is_expected_that_shrinks_with_the_schedule() -> None:
    flat = [0.3] * EPOCHS
    early, late = (model().forecast(smoothed(flat[:epoch])) for epoch in (4, 32))
    assert early.final > late.final > 0.3
    assert early.spread > late.spread > 0


def test_complete_curves_sharpen_the_forecast() -> None:
    known = model(*(curve(final, 0.2) for final in (0.3, 0.4, 0.5, 0.6, 0.45, 0.55)))
    forecast = known.forecast(smoothed(curve(0.7, 0.2)[:12]))
    assert forecast.final == pytest.approx(0.7, rel=0.05)
    assert forecast.spread < model().forecast(smoothed(curve(0.7, 0.2)[:12])).spread


def test_late_bloomers_are_learned() -> None:
    late = model(*(curve(final, 0.2, late=0.5) for final in (0.3, 0.4, 0.5, 0.6)))
    early = model(*(curve(final, 0.2) for final in (0.3, 0.4, 0.5, 0.6)))
    half_way = smoothed(curve(0.6, 0.2, late=0.5)[:20])
    assert late.forecast(half_way).final > 1.5 * early.forecast(half_way).final


def test_a_loss_falls() -> None:
    falling = [2.0 - score for score in curve(1.0, 0.2)]
    forecast = model(falling, falling, mode="min").forecast(smoothed(falling[:10], "min"))
    assert 0.5 < forecast.final < falling[9]


def test_a_curve_of_nothing_is_no_reason_to_fail() -> None:
    assert math.isfinite(model().forecast(smoothed([0.0] * 5)).final)
    assert math.isfinite(model([0.0] * EPOCHS).forecast(smoothed([None] * 5)).final)
    assert model(mode="min").forecast(smoothed([None] * 5, "min")).final == math.inf


def test_a_curve_from_scratch_that_is_still_at_0_is_no_lost_one() -> None:
    """All complete curves were at 0 for a while; so is this one, and what they gained is expected of it too."""
    slow = [[0.0] * 10 + curve(final, 0.2)[:30] for final in (0.3, 0.4, 0.5)]
    known, best = model(*slow), max(slow[-1])
    assert known.forecast(smoothed([0.0] * 8)).chance(best, "max") > 0.05
    quick = model(*(curve(final, 0.2) for final in (0.3, 0.4, 0.5)))
    assert quick.forecast(smoothed([0.0] * 8)).chance(best, "max") < 0.01


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_chance_to_beat_a_score(mode: str) -> None:
    curves = [[0.3] * EPOCHS, [0.3] * EPOCHS]
    forecast = model(*curves, mode=mode).forecast(smoothed([0.3] * 20, mode))
    assert forecast.chance(forecast.final, mode) == pytest.approx(0.5)
    chances = [forecast.chance(best, mode) for best in (0.2, 0.3, 0.4)]
    assert chances == sorted(chances, reverse=mode == "max")
    assert Forecast(final=0.3).chance(0.2, "max") == 1.0
    assert Forecast(final=math.inf).chance(0.2, "min") == 0.0
