"""The simulator: its curves are repeatable, and a sweep on a virtual clock is one of the sweep controller."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.bench import efficiency, finals, pausing, record_curves, search
from tests.bench.rig import trials_of
from tests.bench.search import DEFAULTS, EPOCHS, FAMILIES, NAMES, Problem, Sweep, epoch_cost, unit

from yolosweep.search.simulation import START_EPOCHS


@pytest.mark.parametrize("family", FAMILIES)
def test_a_curve_is_repeatable_and_its_truth_is_without_noise(family: str) -> None:
    curve = Problem(family, 0).curve(DEFAULTS, 1)
    assert curve.scores == Problem(family, 0).curve(DEFAULTS, 1).scores
    assert len(curve.scores) == EPOCHS
    assert abs(max(curve.scores) - curve.true) < 0.06
    assert Problem(family, 1).curve(DEFAULTS, 1).true != curve.true


def test_three_arguments_have_no_effect() -> None:
    problem, home = Problem("drawn", 3), unit(DEFAULTS)
    for name, matters in (("shear", False), ("perspective", False), ("bgr", False), ("lr0", True)):
        moved = home.copy()
        moved[NAMES.index(name)] = 0.4
        assert bool(problem.asymptote(moved)[0] != problem.asymptote(home)[0]) is matters


def test_no_point_beats_the_reference() -> None:
    problem = Problem("sharp", 0)
    points = np.random.default_rng(1).random((5_000, len(NAMES)))
    points[:, 2:4] = np.round(points[:, 2:4] * 2) / 2
    assert problem.asymptote(points).max() <= problem.best


def test_a_sweep_is_one_of_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "COSTS", (3.0, 6.0))
    outcome = search.sweep(("random+none", "near", 0, 2))
    assert outcome.trials >= 6
    assert outcome.epochs >= 400
    assert outcome.regret[1] <= outcome.regret[0] == pytest.approx(0.1, abs=0.2)  # the defaults come first
    again = search.sweep(("random+none", "near", 0, 2))
    assert outcome == dataclasses.replace(again, seconds=outcome.seconds)


def test_costs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "COSTS", (2.0,))
    sweep = Sweep(Problem("near", 0), search.Random(Problem("near", 0), 0), 1, 0)
    sweep.run()
    spent = sum((one.epoch + START_EPOCHS) * one.curve.epoch_s for one in sweep.trainings.values())
    assert sweep.spent == pytest.approx(spent)
    assert sweep.trainings["t1"].job.config == DEFAULTS
    assert epoch_cost({**DEFAULTS, "imgsz": 800}) == pytest.approx(1.5625)


@pytest.mark.slow
def test_the_default_search_is_far_ahead_of_random_points() -> None:
    """On a sweep in which much can be won: random points end 11 points below the optimum."""
    ours, random = (search.sweep((method, "sharp", 3, 4)).regret[1] for method in ("gp+soft", "random"))
    assert ours < 0.5 * random


@pytest.mark.slow
def test_what_was_stopped_is_resumed_by_those_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "COSTS", (15.0,))
    found = [pausing.sweep(rule, "crossing", 3) for rule in ("stop 0.3", "oracle 0.3", "index")]
    stop, oracle, index = found
    assert stop.resumed == 0
    assert oracle.resumed > 0
    assert index.epochs <= 100


def test_a_fleet_with_faults_is_less_efficient() -> None:
    whole, faulty = (efficiency.measure(4, 24, faults=faults) for faults in (False, True))
    assert whole.decisions >= 4 * 24
    assert 0.9 < faulty.share < whole.share < 1


@pytest.mark.slow
def test_recorded_curves_are_a_world_of_their_own(tmp_path: Path) -> None:
    with (tmp_path / "curves.csv").open("w", newline="") as table:
        out = csv.writer(table, lineterminator="\n")
        out.writerow(record_curves.HEAD)
        for number in range(20):
            config = record_curves.configuration(number)
            score = 0.5 - 0.1 * abs(np.log10(config["lr0"]) + 2.5)
            scores = [f"{score * epoch / record_curves.EPOCHS:.4f}" for epoch in range(1, record_curves.EPOCHS + 1)]
            out.writerow(["one", number, 0, *config.values(), 12.0, *scores])
    world = search.world_of(f"{tmp_path / 'curves.csv'}:one", 0)
    assert world.curve(world.defaults, 0).true <= world.best == pytest.approx(0.5, abs=0.05)
    assert record_curves.configuration(7) == record_curves.configuration(7)
    assert list(record_curves.planned(5))[:3] == [("bccd", 0, 0), ("bccd", 0, 1), ("bccd", 1, 0)]


@pytest.mark.slow
def test_finals_are_judged_at_the_same_cost() -> None:
    found = finals.looks(("near", 0, 4, (17.0,)))
    ways = ["finals of the best by score", "finals of the best by model", "score", "verdict", "model"]
    assert [one.by for one in found] == ways
    assert all(one.cost == 17.0 for one in found)
    assert found[2].spent == pytest.approx(17.0, abs=0.1)
    assert found[0].spent == pytest.approx(17.0, abs=5.0)  # finalists may cost more or less than the defaults
    assert all(one.regret >= 0 for one in found)


def test_the_benches_read_the_trials_of_a_sweep(repository: Path, tmp_path: Path) -> None:
    recorded = (repository / "tests" / "fixtures" / "run_v1" / "ledger.jsonl").read_text().splitlines()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ledger.jsonl").write_text("\n".join(one for one in recorded if "t0001" not in one) + "\n")
    trials = trials_of(tmp_path)
    assert len(trials) == 2
    assert all(trial.started < trial.ended and trial.epochs > 0 and trial.request["settings"] for trial in trials)
