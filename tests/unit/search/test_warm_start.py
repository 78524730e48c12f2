"""Warm start: what an earlier sweep gives, what it does not, and that a resume needs it no more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.search.driven_sweeps import DATASET, PARAMETERS, controlled, experiment, points, run
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.errors import RunFolderError
from yolosweep.experiment import Experiment
from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records.events import SweepEnded
from yolosweep.report.trial_explanations import explain
from yolosweep.search.searchers.searcher import InformedSearcher, searcher_for
from yolosweep.search.warm_start import EarlierSweep
from yolosweep.workflows.earlier_sweeps import earlier_trials

runner = CliRunner()
BASE = 0.36
"""What the defaults score in the end: the mean over the last three of four epochs, in which 0.48 is reached."""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A sweep of 20 trials that ended."""
    folder = RunFolder.create(tmp_path_factory.mktemp("earlier"), "earlier")
    with controlled(folder, experiment(trials=20)) as controller:
        run(controller)
    ledger = Ledger(folder)
    ledger.append(SweepEnded(status="finished"))
    ledger.close()
    return folder


@pytest.fixture
def changed(earlier: RunFolder, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """A function that copies the sweep with a change to its first line, and returns the copy."""

    def make(change: Callable[[dict[str, Any]], None]) -> Path:
        copy = tmp_path / "copy"
        shutil.copytree(earlier.root, copy)
        first, *rest = (copy / "ledger.jsonl").read_text().splitlines()
        content = json.loads(first)
        change(content)
        (copy / "ledger.jsonl").write_text("\n".join([json.dumps(content), *rest]) + "\n")
        return copy

    return make


def warm(*runs: Path, **search: Any) -> Experiment:
    return experiment(warm_start=tuple(map(str, runs)), **search)


def best_of(folder: RunFolder) -> list[dict[str, Any]]:
    return [dict(trial.request.asked) for trial in History.of(folder).ranked()]


def test_the_best_points_come_right_after_the_defaults(earlier: RunFolder, tmp_path: Path) -> None:
    exp = warm(earlier.root, trials=6)
    taken, notes, faults = earlier_trials(exp, DATASET)
    assert (len(taken), faults) == (20, [])
    assert notes == [f"warm start from {earlier.sweep}: 20 of its 20 trials, compared by their scores"]
    folder = RunFolder.create(tmp_path, "d")
    with controlled(folder, exp, header={"earlier": taken}) as controller:
        found = points(run(controller))
    assert found[1:4] == [point for point in best_of(earlier) if point != found[0]][:3]
    sentence = explain(read_events(folder.ledger)).of_trial("t0001")[0]
    assert f"of {earlier.sweep} was among the best there" in sentence
    assert "among the best there" not in explain(read_events(folder.ledger)).of_trial("t0004")[0]


@pytest.mark.parametrize("searcher", ["gp", "tpe"])
def test_a_resume_decides_the_same_without_the_earlier_sweep(searcher: str, earlier: RunFolder, tmp_path: Path) -> None:
    exp = warm(earlier.root, trials=9, searcher=searcher, pruner="soft")
    taken, _, _ = earlier_trials(exp, DATASET)
    whole, broken = RunFolder.create(tmp_path, "whole"), RunFolder.create(tmp_path, "broken")
    with controlled(whole, exp, header={"earlier": taken}) as controller:
        expected = points(run(controller))
    with controlled(broken, exp, header={"earlier": taken}) as controller:
        found = points(run(controller, most=5))
    with controlled(broken, exp) as controller:
        found += points(run(controller))
    assert found == expected


def test_gp_learns_from_it_before_it_has_trials_of_its_own(earlier: RunFolder) -> None:
    exp = warm(earlier.root)
    informed, ignorant = (searcher_for("gp", exp.search.parameters, seed=0, mode="max") for _ in range(2))
    assert isinstance(informed, InformedSearcher)
    informed.learn_earlier(earlier_trials(exp, DATASET)[0])

    def distance(searcher: Any) -> float:
        return sum(abs(searcher.suggest(number)["lr0"] - 0.03) for number in range(1, 6))

    for searcher in (informed, ignorant):
        searcher.started(0, {"lr0": 0.01, "batch": 16})
    assert distance(informed) < 0.5 * distance(ignorant)


def test_under_other_conditions_gains_count_once_trial_0_has_ended(earlier: RunFolder) -> None:
    exp = warm(earlier.root, train={"epochs": 8})
    taken, notes, _ = earlier_trials(exp, DATASET.model_copy(update={"fingerprint": "e" * 64}))
    assert "by their gains over its trial 0, because it differs in data, train.epochs" in notes[0]
    assert {round(base, 6) for one in taken if (base := one.base) is not None} == {BASE}
    assert all(one.deviation > 0 for one in taken)
    searcher: Any = searcher_for("gp", exp.search.parameters, seed=0, mode="max")
    ignorant: Any = searcher_for("gp", exp.search.parameters, seed=0, mode="max")
    searcher.learn_earlier(taken)
    for one in (searcher, ignorant):
        one.started(0, {"lr0": 0.01, "batch": 16})
    assert searcher.suggest(4) == ignorant.suggest(4)
    searcher.tell(0, {"lr0": 0.01, "batch": 16}, 0.2)
    expected = searcher.expected_scores()
    assert abs(expected[0] - 0.2) < 0.02


def test_what_is_outside_of_the_space_is_left_out_and_named(earlier: RunFolder) -> None:
    exp = warm(earlier.root, parameters={**PARAMETERS, "lr0": {"min": 0.005, "max": 0.05}})
    taken, notes, _ = earlier_trials(exp, DATASET)
    assert 0 < len(taken) < 20
    assert all(0.005 <= one.parameters["lr0"] <= 0.05 for one in taken)
    assert f"left out: {20 - len(taken)} with parameters outside of this space" in notes[0]


def test_a_parameter_that_was_not_searched_has_the_value_it_was_trained_with(earlier: RunFolder) -> None:
    exp = warm(earlier.root, parameters={**PARAMETERS, "mosaic": {"min": 0.0, "max": 1.0}})
    assert {one.parameters["mosaic"] for one in earlier_trials(exp, DATASET)[0]} == {1.0}
    exp = warm(earlier.root, parameters={**PARAMETERS, "mosaic": {"min": 0.0, "max": 0.5}})
    assert "none of its trials has a score and parameters in this space" in earlier_trials(exp, DATASET)[2][0].message


def test_a_condition_that_does_not_hold_excludes_nothing(earlier: RunFolder, tmp_path: Path) -> None:
    """The earlier trials were trained with AdamW and the default momentum, which is not in this range."""
    momentum = {"min": 0.5, "max": 0.9, "when": {"optimizer": "SGD"}}
    space = {**PARAMETERS, "optimizer": {"values": ["SGD", "AdamW"]}, "momentum": momentum}
    exp = warm(earlier.root, parameters=space, trials=5)
    exp = exp.model_copy(update={"train": {"epochs": 4}})
    taken, _, _ = earlier_trials(exp, DATASET)
    assert len(taken) == 20
    assert {one.parameters["momentum"] for one in taken} == {0.5}
    folder = RunFolder.create(tmp_path, "d")
    with controlled(folder, exp, header={"earlier": taken}) as controller:
        found = points(run(controller))
    assert all(point["optimizer"] == "AdamW" and "momentum" not in point for point in found[1:4])
    assert "among the best there" in explain(read_events(folder.ledger)).of_trial("t0002")[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["experiment"].update(task="segment"), "its task is another one than detect"),
        (lambda c: c["experiment"].update(model="toy/red"), "its model is none of Ultralytics"),
        (lambda c: c["experiment"]["search"].update(metric="val/box_loss"), "ranked by another metric"),
        (lambda c: c["dataset"].update(names={"0": "boat"}), "its data have other classes"),
        (lambda c: c["experiment"].update(train=None), "its ledger is damaged, or of another version"),
        (lambda c: c["experiment"]["train"].update(epochs=10**12), "no training has so many epochs"),
        (lambda c: c["experiment"]["train"].update(epochs="many"), "its ledger is damaged"),
        (lambda c: c.pop("experiment"), "is damaged; restore the file"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    change: Callable[[dict[str, Any]], None], message: str, changed: Callable[..., Path]
) -> None:
    copy = changed(change)
    trials, notes, (fault,) = earlier_trials(warm(copy), DATASET)
    assert (trials, notes, fault.key) == ((), [], "search.warm_start[0]")
    assert f"{copy} cannot be used: " in fault.message
    assert message in fault.message


def test_one_that_has_not_ended_is_refused(earlier: RunFolder) -> None:
    events = [event for event in read_events(earlier.ledger) if not isinstance(event, SweepEnded)]
    refusal = EarlierSweep("e", iter(events)).refusal(warm(), DATASET)
    assert refusal == "it has not ended; wait for it, or resume it"


def test_a_folder_without_a_ledger_and_a_link_are_refused(earlier: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "ledger.jsonl").symlink_to(earlier.ledger)
    faults = earlier_trials(warm(tmp_path, tmp_path / "linked"), DATASET)[2]
    assert [fault.key for fault in faults] == ["search.warm_start[0]", "search.warm_start[1]"]
    assert "is not a run folder" in faults[0].message


def test_nothing_but_numbers_and_own_choices_is_taken_over(earlier: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(earlier.root, tmp_path / "copy")
    ledger = tmp_path / "copy" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"batch":8', '"batch":"<script>"'))
    taken, _, _ = earlier_trials(warm(tmp_path / "copy"), DATASET)
    assert 0 < len(taken) < 20
    assert {one.parameters["batch"] for one in taken} <= {16, 32}


def test_a_plan_names_what_it_starts_from(repository: Path, monkeypatch: pytest.MonkeyPatch, parking: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(parking.parents[2]))
    recorded, toy = repository / "tests" / "fixtures" / "run_v1", repository / "jobs" / "experiments" / "toy.yaml"
    done = runner.invoke(app, ["plan", str(toy), "train.epochs=6", f"search.warm_start=[{recorded}]"])
    assert done.exit_code == 0, done.output
    assert "note       warm start from run_v1: 3 of its 3 trials, compared by their scores" in done.stdout
    done = runner.invoke(app, ["plan", str(toy), f"search.warm_start=[{recorded},/nowhere]"])
    assert done.exit_code == 3
    assert "search.warm_start[1] (line 15): /nowhere cannot be used: /nowhere is not a run folder" in done.output


def test_a_damaged_ledger_is_said_to_be_damaged() -> None:
    with pytest.raises(RunFolderError):
        EarlierSweep("e", iter([]))
