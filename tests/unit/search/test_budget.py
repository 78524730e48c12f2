"""``search.budget``: so many whole trainings of the defaults, by measured seconds, a duration, or trials."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.tools.placing import take
from tests.unit.search.driven_sweeps import controlled, experiment, run, train

from yolosweep.experiment.schema import Search
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import TrialRequest

SPACE = {"lr0": {"min": 0.1, "max": 0.2}}
CHEAP = {"batch": {"values": [8, 16]}}


def by_batch(request: TrialRequest) -> float:
    """Return the seconds of an epoch: the defaults take two, a batch of 8 takes one."""
    return 2.0 if request.settings["batch"] == 16 else 1.0


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, "d")


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [(20, "trials", 20), ("8h", "time_budget", 28800.0), ("4x", "budget", "4x"), ("2.5x", "budget", "2.5x")],
)
def test_its_unit_decides_what_is_counted(written: object, key: str, value: object) -> None:
    search = Search.model_validate({"budget": written, "parameters": SPACE})
    assert {"trials": search.trials, "time_budget": search.time_budget, "budget": search.budget} == {
        **dict.fromkeys(("trials", "time_budget", "budget")), key: value,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", ["x", "0.5x", "4 x", "many", True, -3.0, [1]])
def test_other_units_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match=r"must be 4x|4 whole trainings"):
        Search.model_validate({"budget": wrong, "parameters": SPACE})


def test_a_budget_that_is_set_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"8 is the same as search\.trials, which is set, too"):
        Search.model_validate({"budget": 8, "trials": 9, "parameters": SPACE})


def test_trainings_are_counted_by_what_their_epochs_took(folder: RunFolder) -> None:
    exp = experiment(budget="4x", parameters={"batch": {"values": [8, 16]}, "lr0": {"min": 0.001, "max": 0.1}})
    with controlled(folder, exp) as controller:
        requests = run(controller, seconds=by_batch)
        assert controller.over()
        reason = controller.close()
    used = History.of(folder).trainings()
    assert used == sum(by_batch(request) / 2 for request in requests)
    assert 3 < used <= 4
    assert len(requests) > 4
    assert reason == f"the budget of 4x does not hold another trial: {used:.2f}x was used"


def test_what_runs_counts_with_its_whole_training(folder: RunFolder) -> None:
    with controlled(folder, experiment(budget="2x")) as controller:
        first, _ = take(controller), take(controller)
        assert take(controller) == "wait"  # one of the two may end early
        assert isinstance(first, TrialRequest)
        train(controller, first)
        assert take(controller) == "wait"


def test_a_resume_counts_what_was_used(tmp_path: Path) -> None:
    whole, broken = RunFolder.create(tmp_path, "whole"), RunFolder.create(tmp_path, "broken")
    exp = experiment(budget="3x")
    with controlled(whole, exp) as controller:
        expected = run(controller)
    with controlled(broken, exp) as controller:
        requests = run(controller, most=1)
        second = take(controller)
        assert isinstance(second, TrialRequest)
        train(controller, second, epochs=2)
    with controlled(broken, exp) as controller:
        requests += run(controller)
    assert [request.identity for request in requests] == [request.identity for request in expected]
    assert History.of(broken).trainings() == 3


def test_finals_are_part_of_it(folder: RunFolder) -> None:
    exp = experiment(budget="8x", finals={"top": 1, "seeds": 2})
    with controlled(folder, exp) as controller:
        requests = run(controller)
    assert [request.repeats is not None for request in requests] == [False] * 4 + [True] * 4
