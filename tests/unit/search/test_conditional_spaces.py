"""Conditions between parameters, constraints, and steps: each searcher keeps to them, and a resume does the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.search.driven_sweeps import controlled, experiment, points, run

from yolosweep.diagnosis.observed_sweep import Axis
from yolosweep.experiment import Experiment, Parameter
from yolosweep.experiment.constraints import constraint_of
from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.experiment.search_parameter import active
from yolosweep.experiment.trial_settings import allows
from yolosweep.ledger import RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records import TrialRequest
from yolosweep.report import write_report
from yolosweep.report.sweep_summary import summarize
from yolosweep.report.trial_explanations import explain
from yolosweep.search.optuna_export import write_study
from yolosweep.tracking.wandb_sweep import sweep_config

CHAIN: dict[str, Any] = {
    "optimizer": {"values": ["SGD", "AdamW"]},
    "momentum": {"values": [0.7, 0.9], "when": {"optimizer": "SGD"}},
    "nbs": {"values": [32, 64], "when": {"momentum": 0.7}},
    "batch": {"values": [8, 16, 32]},
    "imgsz": {"min": 320, "max": 640, "q": 32, "distribution": "q_uniform"},
}
CONSTRAINT = "batch * imgsz**2 <= 16 * 640**2"
LEARNING = [name for name, choice in SEARCHERS.items() if not choice.is_exhaustive]


def searched(**search: Any) -> Experiment:
    exp = experiment(parameters=CHAIN, trials=12, **search)
    return exp.model_copy(update={"train": {name: v for name, v in exp.train.items() if name != "optimizer"}})


def score(request: TrialRequest) -> float:
    return 0.3 + 0.1 * (request.settings["optimizer"] == "SGD") + 0.0001 * request.settings["imgsz"]


@pytest.mark.parametrize("searcher", LEARNING)
@pytest.mark.slow
def test_conditions_and_constraints_hold_and_a_resume_decides_the_same(searcher: str, tmp_path: Path) -> None:
    exp = searched(searcher=searcher, constraints=(CONSTRAINT,))
    whole, broken = RunFolder.create(tmp_path, "whole"), RunFolder.create(tmp_path, "broken")
    with controlled(whole, exp) as controller:
        requests = run(controller, score=score)
    assert len(requests) == 12
    for request in requests:
        assert ("momentum" in request.asked) == (request.asked["optimizer"] == "SGD")
        assert ("nbs" in request.asked) == (request.asked.get("momentum") == 0.7)
        assert {"momentum", "nbs"} & request.settings.keys() == {"momentum", "nbs"} & request.asked.keys()
        assert request.settings["batch"] * request.settings["imgsz"] ** 2 <= 16 * 640**2
        assert isinstance(request.settings["imgsz"], int)
        assert not request.settings["imgsz"] % 32
    assert len({request.identity for request in requests}) == 12
    assert any("nbs" in request.asked for request in requests)
    with controlled(broken, exp) as controller:
        found = points(run(controller, most=7, score=score))
    with controlled(broken, exp) as controller:
        found += points(run(controller, score=score))
    assert found == points(requests)


def test_a_grid_has_each_training_once(tmp_path: Path) -> None:
    grid = {name: CHAIN[name] for name in ("optimizer", "momentum", "nbs", "batch")}
    exp = experiment(parameters=grid, searcher="grid", constraints=("batch < 32 or optimizer == 'AdamW'",))
    assert exp.search.trials == 2 * 3 + 3
    exp = exp.model_copy(update={"train": {name: v for name, v in exp.train.items() if name != "optimizer"}})
    with controlled(RunFolder.create(tmp_path, "d"), exp) as controller:
        found = points(run(controller, score=lambda _: 0.3))
    assert len(found) == 9
    assert {"optimizer": "SGD", "momentum": 0.7, "nbs": 32, "batch": 16} in found


def test_a_condition_rests_on_conditions() -> None:
    space = {name: Parameter.model_validate(one) for name, one in CHAIN.items()}
    point = {"optimizer": "AdamW", "momentum": 0.7, "nbs": 32, "batch": 8}
    assert active(space, point) == {"optimizer": "AdamW", "batch": 8}
    assert active(space, {**point, "optimizer": "SGD", "momentum": 0.9}).keys() == {"optimizer", "momentum", "batch"}


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (CONSTRAINT, {"batch": 16, "imgsz": 640}, True),
        (CONSTRAINT, {"batch": 17, "imgsz": 640}, False),
        ("0.1 <= mosaic < mixup + 0.5", {"mosaic": 0.4, "mixup": 0.0}, True),
        ("optimizer != 'SGD' or not lr0 > 0.05", {"optimizer": "SGD", "lr0": 0.06}, False),
        ("batch // 0 < 1", {"batch": 8}, False),
        ("batch ** 9 ** 9 > 1", {"batch": 8}, False),
        ("(-batch) ** 0.5 < 9", {"batch": 8}, False),
        ("cos_lr == True", {"cos_lr": True}, True),
    ],
)
def test_a_constraint_is_calculated(text: str, values: dict[str, Any], expected: bool) -> None:
    assert constraint_of(text).holds(values) is expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x') == 1", "batch.real < 3", "(lambda: 1)() < batch", "[batch][0] < 1", "batch",
        "batch + 1", "1 < 2", "batch <", "batch := 3", "batch in (1, 2)", "f'{batch}' == ''", "batch < 1j",
        "b" * 301 + " < 1", "(" * 250 + "batch" + ")" * 250 + " < 1", "batch" + "+1" * 60 + " < 1",
        "-" * 200 + "batch < 1",
        "batch < None", "batch if batch else 1 < 2", "batch @ 2 < 1", "batch << 2 < 1", "",
    ],
)  # fmt: skip
def test_what_is_no_comparison_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no expression|not part of|compares nothing|names no|is longer|too many"):
        constraint_of(text)


def test_constraints_see_fixed_and_default_arguments() -> None:
    exp = experiment(train={"imgsz": 320}, constraints=("batch * imgsz <= 5120 and mosaic == 1.0",))
    assert allows(exp, {"batch": 16})
    assert not allows(exp, {"batch": 32})


def test_all_surfaces_read_trials_without_some_of_the_parameters(tmp_path: Path) -> None:
    models = {"yolo11n.yaml": ("/n.yaml", "n"), "yolo11s.yaml": ("/s.yaml", "s")}
    exp = experiment(parameters={**CHAIN, "model": {"values": list(models)}}, trials=14, constraints=(CONSTRAINT,))
    exp = exp.model_copy(update={"train": {name: v for name, v in exp.train.items() if name != "optimizer"}})
    folder = RunFolder.create(tmp_path, "d")
    with controlled(folder, exp, models=models) as controller:
        run(controller, score=score)
    summary = summarize(history := History.of(folder))
    assert set(summary.parameters) == {*CHAIN, "model"}
    assert summary.importance.shares["imgsz"] > 0
    assert "model" not in summary.verdict.off_defaults
    assert write_report(folder).stat().st_size > 10_000
    assert "nbs" not in explain(read_events(folder.ledger)).of_trial("t0000")[0]
    write_study(history, tmp_path / "study.journal")
    config = sweep_config("d", history.experiment["search"])
    assert config is not None
    assert "when" not in config["parameters"]["nbs"]


def test_a_range_that_is_moved_keeps_its_steps_and_its_condition() -> None:
    axis = Axis(low=320, high=640, is_whole=True, step=32, when={"optimizer": "SGD"})
    moved = {"min": 480, "max": 800, "distribution": "q_uniform", "q": 32, "when": {"optimizer": "SGD"}}
    assert axis.range(0.5, 1.5) == moved
    assert Parameter.model_validate(moved).kind == "int"
