"""The cost of epochs as measured: which columns decide it, and that ``gp`` weighs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.search.driven_sweeps import controlled, experiment, points, run

from yolosweep.ledger import RunFolder
from yolosweep.records import TrialRequest
from yolosweep.search.searchers.epoch_cost import cost_slopes

SPACE = {"imgsz": {"min": 320, "max": 1280, "q": 32, "distribution": "q_uniform"}, "lr0": {"min": 0.001, "max": 0.1}}


def slow(request: TrialRequest) -> float:
    return float((request.settings["imgsz"] / 640) ** 2)


def flat(request: TrialRequest) -> float:
    """Return a score to which the image size adds next to nothing."""
    return 0.5 - abs(request.settings["lr0"] - 0.03) + 1e-5 * request.settings["imgsz"] / 1280


def test_slopes_follow_what_decides_the_time_and_ignore_the_rest() -> None:
    rng = np.random.default_rng(0)
    columns = rng.random((20, 6))
    seconds = 60 * np.exp(1.5 * columns[:, 2] + rng.normal(0, 0.05, 20))
    slopes = cost_slopes(columns, seconds)
    assert slopes[2] == pytest.approx(1.5, abs=0.15)
    assert np.abs(np.delete(slopes, 2)).max() < 0.15


def test_machines_of_different_speed_give_no_slopes() -> None:
    rng = np.random.default_rng(0)
    seconds = np.where(rng.random(20) < 0.5, 60.0, 240.0)
    assert np.abs(cost_slopes(rng.random((20, 6)), seconds)).max() < 0.75


def test_few_trainings_say_nothing() -> None:
    assert not cost_slopes(np.eye(2), np.array([1.0, 9.0])).any()
    assert not cost_slopes(np.zeros((0, 3)), np.zeros(0)).any()


def test_large_images_must_earn_their_price(tmp_path: Path) -> None:
    means = []
    for weight in (0.0, 2.0):
        exp = experiment(parameters=SPACE, searcher="gp", searcher_options={"cost": weight}, trials=14)
        with controlled(RunFolder.create(tmp_path, "d"), exp) as controller:
            sizes = [point["imgsz"] for point in points(run(controller, score=flat, seconds=slow))[6:]]
        means.append(sum(sizes) / len(sizes))
    assert means[1] < 0.9 * means[0]


def test_a_resume_weighs_it_the_same(tmp_path: Path) -> None:
    exp = experiment(parameters=SPACE, searcher="gp", searcher_options={"cost": 1.0}, trials=11)
    whole, broken = RunFolder.create(tmp_path, "whole"), RunFolder.create(tmp_path, "broken")
    with controlled(whole, exp) as controller:
        expected = points(run(controller, score=flat, seconds=slow))
    with controlled(broken, exp) as controller:
        found = points(run(controller, most=8, score=flat, seconds=slow))
    with controlled(broken, exp) as controller:
        found += points(run(controller, score=flat, seconds=slow))
    assert found == expected
