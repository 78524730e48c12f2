"""``yolosweep simulate``: the sweep controller on recorded curves."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tools.curve_tables import EPOCHS, final, write_curves
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.errors import UsageError
from yolosweep.experiment import load_experiment
from yolosweep.search.simulation import Clock, ControlledSearch, Curve, Job, Simulation
from yolosweep.workflows.simulated_sweeps import simulate

EXPERIMENT = {
    "name": "what-if",
    "model": "yolo11n.yaml",
    "data": "nowhere",
    "train": {"epochs": EPOCHS},
    "search": {
        "searcher": "random",
        "pruner": "none",
        "trials": 12,
        "parameters": {
            "lr0": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
            "optimizer": {"values": ["AdamW", "SGD"]},
        },
    },
}


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_curves(tmp_path_factory.mktemp("curves") / "curves.csv"))


@pytest.mark.slow
def test_a_whole_search_is_simulated(curves: str) -> None:
    first, second = simulate(EXPERIMENT, ["train.batch=8"], curves, chosen="one", seeds=2)
    assert (first.trials, first.epochs, first.endings) == (12, 12 * EPOCHS, {"finished": 12})
    assert first.trainings == pytest.approx(12 * (1 + 0.3 / EPOCHS), rel=0.05)
    assert first.true == pytest.approx(
        final(float(first.parameters["lr0"]), str(first.parameters["optimizer"])), abs=0.03
    )
    assert 0 <= first.regret < 0.1
    assert first.true + first.regret == pytest.approx(0.5, abs=0.05)
    assert first.parameters != second.parameters or first.score != second.score
    again = simulate(EXPERIMENT, ["train.batch=8"], curves, chosen="one", seeds=1)
    assert again == (first,)


@pytest.mark.slow
def test_four_workers_take_a_quarter_of_the_time(curves: str) -> None:
    (one,) = simulate(EXPERIMENT, ["train.batch=8"], curves, chosen="one", seeds=1, workers=1)
    (four,) = simulate(EXPERIMENT, ["train.batch=8"], curves, chosen="one", seeds=1, workers=4)
    assert four.hours == pytest.approx(one.hours / 4, rel=0.1)
    assert replace(four, hours=one.hours) == replace(one, trainings=four.trainings)


@pytest.mark.slow
def test_budget_and_pruner_are_those_of_a_run(curves: str) -> None:
    words = ["train.batch=8", "search.trials=null", f"search.epoch_budget={8 * EPOCHS}", "search.pruner=asha"]
    (found,) = simulate(EXPERIMENT, words, curves, chosen="one", seeds=1)
    assert found.epochs <= 8 * EPOCHS
    assert found.endings.get("pruned", 0) > 0
    (timed,) = simulate(EXPERIMENT, ["train.batch=8", "search.time_budget=60"], curves, chosen="one", seeds=1)
    assert timed.hours == pytest.approx(60 / 3600, rel=0.1)
    assert timed.endings["cancelled"] >= 1


@pytest.mark.slow
def test_finals_are_quoted_by_their_mean(curves: str) -> None:
    words = ["train.batch=8", "search.finals={top: 2, seeds: 2}", "search.trials=16"]
    (found,) = simulate(EXPERIMENT, words, curves, chosen="one", seeds=1)
    assert found.trials == 16
    assert abs(found.score - found.true) < 0.03


def test_what_does_not_fit_is_named_at_once(curves: str) -> None:
    words = ["train.epochs=30", "search.parameters.mosaic={min: 0.0, max: 1.0}", "search.parameters.optimizer=null"]
    words[-1] = "search.parameters.optimizer={values: [AdamW, RMSProp]}"
    with pytest.raises(UsageError) as caught:
        simulate(EXPERIMENT, ["train.batch=8", *words], curves, chosen="one")
    text = str(caught.value)
    assert "set train.epochs=12" in text
    assert "mosaic did not vary" in text
    assert "optimizer=RMSProp is not in them" in text


@pytest.mark.slow
def test_a_run_is_a_source_of_curves(tmp_path: Path) -> None:
    """What would the same search have found with more trials? Curves come from the run alone."""
    exp = load_experiment(EXPERIMENT, ["train.batch=8"])
    method = ControlledSearch(exp, defaults={}, clock=Clock(), epoch_s=lambda request, epoch: 2.0)

    def curve(job: Job) -> Curve:
        rise = final(float(job.config["lr0"]), str(job.config["optimizer"])) / EPOCHS
        return Curve(scores=[rise * epoch for epoch in range(1, EPOCHS + 1)], epoch_s=2.0)

    for _ in Simulation(method, curve, 2).epochs():
        pass
    run = method.history().sweep
    shutil.copytree(method.folder.root, tmp_path / run)
    method.close()
    (found,) = simulate(EXPERIMENT, ["train.batch=8", "search.trials=20"], str(tmp_path / run), seeds=1)
    assert found.trials == 20
    assert found.true == pytest.approx(0.5, abs=0.08)
    with pytest.raises(UsageError, match=r"set search\.metric"):
        simulate(EXPERIMENT, ["search.metric=metrics/mAP50(B)"], str(tmp_path / run))


def test_what_is_not_simulated_is_refused(curves: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"set search\.warm_start=\[\]; a batch .* set train\.batch to a number"):
        simulate(EXPERIMENT, ["train.batch=-1", f"search.warm_start=[{tmp_path}]"], curves, chosen="one")


def test_a_budget_ends_after_an_epoch_at_the_earliest(curves: str) -> None:
    (found,) = simulate(EXPERIMENT, ["train.batch=8", "search.time_budget=1"], curves, chosen="one", seeds=1)
    assert 1 <= found.epochs <= 4


def test_patience_ends_trainings(curves: str) -> None:
    (found,) = simulate(EXPERIMENT, ["train.batch=8", "train.patience=1"], curves, chosen="one", seeds=1)
    assert found.endings.get("patience", 0) > 0
    assert found.epochs < 12 * EPOCHS


def test_a_run_with_few_trainings_is_no_source(repository: Path) -> None:
    parameters = {"lr0": {"min": 0.001, "max": 0.1}}
    exp = {**EXPERIMENT, "model": "toy/red", "search": {"trials": 5, "parameters": parameters}}
    with pytest.raises(UsageError, match="complete trainings are too few to simulate from; 8 are needed"):
        simulate(exp, [], str(repository / "tests" / "fixtures" / "run_v1"))


@pytest.mark.slow
def test_the_command_prints_a_line_per_sweep(curves: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(EXPERIMENT))
    words = ["simulate", str(file), "train.batch=8", "search.trials=9", "--curves", curves, "--set", "one"]
    shown = CliRunner().invoke(app, [*words, "--seeds", "2"])
    assert shown.exit_code == 0, shown.output
    assert "12 finished" not in shown.output
    assert "9 finished" in shown.output
    assert [line.split()[0] for line in shown.output.splitlines()[:4]] == ["seed", "0", "1", "mean"]
    found = json.loads(CliRunner().invoke(app, [*words, "--seeds", "1", "--json"]).output)
    assert [one["trials"] for one in found] == [9]
