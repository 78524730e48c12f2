"""The model as a parameter: each trial starts from its own, with its own fingerprint, memory limits and checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.tools.placing import take
from tests.unit.search.driven_sweeps import controlled, experiment, points, run
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.cluster.job_package import JobPackage, _with_files
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.errors import ExperimentError
from yolosweep.experiment import Experiment, load_experiment
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, TrialRecord, TrialRequest

SPACE = {"model": {"values": ["yolo11n.yaml", "yolo11s.yaml"]}, "lr0": {"min": 0.001, "max": 0.1}}
MODELS = {"yolo11n.yaml": ("/run/n.yaml", "n" * 64), "yolo11s.yaml": ("/run/s.yaml", "s" * 64)}
FILE = (
    "name: m\nmodel: {model}\ndata: data.yaml\ntrain: {{optimizer: SGD}}\nsearch:\n  parameters:\n    model: {space}\n"
)


def searched(**search: Any) -> Experiment:
    return experiment(parameters=SPACE, **search)


def score(request: TrialRequest) -> float:
    return 0.3 + 0.1 * (request.asked["model"] == "yolo11s.yaml")


def loaded(path: Path, space: str, model: str = "yolo11n.yaml") -> Experiment:
    file = path / "experiment.yaml"
    file.write_text(FILE.format(model=model, space=space))
    return load_experiment(file)


@pytest.mark.parametrize("searcher", ["gp", "tpe"])
def test_trials_start_from_their_model_and_a_resume_decides_the_same(searcher: str, tmp_path: Path) -> None:
    exp = searched(trials=10, searcher=searcher)
    whole, broken = RunFolder.create(tmp_path, "whole"), RunFolder.create(tmp_path, "broken")
    with controlled(whole, exp, models=MODELS) as controller:
        requests = run(controller, score=score)
    assert requests[0].asked["model"] == "yolo11n.yaml"
    assert {request.model for request in requests} == {"/run/n.yaml", "/run/s.yaml"}
    for request in requests:
        assert request.model == MODELS[request.asked["model"]][0]
        assert "model" not in request.settings
    assert {trial.request.model for trial in History.of(whole).trials.values()} == {"/run/n.yaml", "/run/s.yaml"}
    with controlled(broken, exp, models=MODELS) as controller:
        found = points(run(controller, most=6, score=score))
    with controlled(broken, exp, models=MODELS) as controller:
        found += points(run(controller, score=score))
    assert found == points(requests)


def test_the_fingerprint_of_the_model_is_part_of_the_identity(tmp_path: Path) -> None:
    only = experiment(parameters={"model": SPACE["model"]}, searcher="grid")
    with controlled(RunFolder.create(tmp_path, "d"), only, models=MODELS) as controller:
        first, second = run(controller, score=score)
    assert first.settings == second.settings
    assert first.identity != second.identity


def test_repeats_start_from_the_model_of_their_trial(tmp_path: Path) -> None:
    exp = searched(trials=10, finals={"top": 1, "seeds": 2})
    with controlled(RunFolder.create(tmp_path, "d"), exp, models=MODELS) as controller:
        requests = run(controller, score=score)
    models = {request.trial: request.model for request in requests}
    repeats = [request for request in requests if request.repeats is not None]
    assert {request.model for request in repeats} == {"/run/n.yaml", "/run/s.yaml"}
    assert all(request.model == models[str(request.repeats)] for request in repeats)


def test_what_is_too_big_for_one_model_may_fit_another(tmp_path: Path) -> None:
    space = {"batch": {"values": [16, 32]}, "model": SPACE["model"]}
    with controlled(RunFolder.create(tmp_path, "d"), experiment(parameters=space, searcher="grid"), models=MODELS) as c:
        tried = []
        while isinstance(request := take(c), TrialRequest):
            tried.append((request.asked["model"], request.asked["batch"]))
            fits = request.asked["model"] == "yolo11n.yaml"
            record = TrialRecord(
                trial=request.trial, number=request.number, ending=Ending.FINISHED if fits else Ending.OOM, reason="r",
                asked=request.asked, used=request.asked, score=0.3 if fits else None, device="gpu",
            )  # fmt: skip
            c.ended(record, request.attempt)
    assert tried == [("yolo11n.yaml", 16), ("yolo11s.yaml", 16), ("yolo11n.yaml", 32)]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{values: [yolo11s.yaml, yolo11m.yaml]}", "does not hold yolo11n.yaml, which trial 0 trains"),
        ("{values: [yolo11n.yaml, toy/red]}", "toy/red is no model of Ultralytics"),
        ("{min: 1, max: 2}", "must be a choice of models"),
        ("{values: [yolo11n.yaml, 3]}", "must be a choice of models"),
        ("{values: [yolo11n.yaml, other/yolo11n.yaml]}", "two of the files have the same name"),
    ],
)
def test_other_values_are_refused(space: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError) as caught:
        loaded(tmp_path, space)
    assert any(fault.key == "search.parameters.model" and message in fault.message for fault in caught.value.faults)


def test_files_are_found_beside_the_experiment_and_travel_with_a_job(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("nc: 1\n")
    exp = loaded(tmp_path, "{values: [a.yaml, b.yaml]}\n    lr0: {min: 0.1, max: 0.2, when: {model: b.yaml}}", "a.yaml")
    paths = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    assert (exp.model, exp.search.parameters["model"].values) == (paths[0], paths)
    assert exp.search.parameters["lr0"].when == {"model": paths[1]}
    package = JobPackage()
    packed = _with_files(exp.model_copy(update={"data": "sample:parking"}), package, outside=False)
    assert sorted(package.files) == ["model/a.yaml", "model/b.yaml"]
    assert packed.search.parameters["model"].values == ["model/a.yaml", "model/b.yaml"]
    assert packed.search.parameters["lr0"].when == {"model": "model/b.yaml"}


@pytest.mark.slow
def test_a_plan_checks_and_estimates_each_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    draw_parking(tmp_path / "lot", images={"train": 12, "val": 4, "test": 4})
    file = tmp_path / "experiment.yaml"
    file.write_text(FILE.format(model="yolo11n.yaml", space="{values: [yolo11n.yaml, yolo11m.yaml]}").replace(
        "data.yaml\n", "lot/data.yaml\nresources: {gpus_per_trial: 0}\n"))  # fmt: skip
    file.write_text(file.read_text().replace("optimizer: SGD", "optimizer: SGD, nbs: 12, batch: 4, imgsz: 160"))
    done = CliRunner().invoke(app, ["plan", str(file)])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if " s an epoch by the rough model" in line]
    assert [line.split()[1].rstrip(":") for line in lines] == ["yolo11n.yaml", "yolo11m.yaml"]
    file.write_text(file.read_text().replace("yolo11m.yaml", "yolo11m-seg.yaml"))
    done = CliRunner().invoke(app, ["plan", str(file)])
    assert done.exit_code == 3
    assert "search.parameters.model (line 8): yolo11m-seg.yaml: " in done.output
