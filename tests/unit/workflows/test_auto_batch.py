"""``batch: -1`` or a share of the GPU's memory: found once before the search, then a value like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolosweep.backends import trainer_for
from yolosweep.errors import ExperimentError
from yolosweep.experiment import Experiment, load_experiment
from yolosweep.runtime.batch_finder import one_of_each_kind
from yolosweep.workflows.auto_batch import largest_request, open_batches, with_batches

FOUND = {-1: 44, 0.3: 20}


def experiment(train: str = "", space: str = "") -> Experiment:
    lr0 = "lr0: {min: 0.001, max: 0.01}"
    return load_experiment(
        {"name": "demo", "model": "yolo26n.yaml", "data": "data.yaml"},
        [
            f"train={{optimizer: SGD, {train}}}",
            f"search={{trials: 4, parameters: {{{space or lr0}}}}}",
        ],
    )


def test_a_fixed_batch_is_found_once_and_recorded_as_a_number() -> None:
    asked: list[float] = []
    exp, notes = with_batches(experiment("batch: -1"), lambda batch: asked.append(batch) or FOUND[batch])  # type: ignore[func-returns-value]
    assert asked == [-1]
    assert exp.train["batch"] == 44
    assert notes == ["train.batch: -1 is 44, found before the search"]
    assert with_batches(exp, FOUND.__getitem__) == (exp, [])  # as a resume reads it back


def test_the_largest_that_fits_is_a_value_of_a_search_like_another() -> None:
    exp, notes = with_batches(experiment(space="batch: {values: [8, -1, 0.3]}"), FOUND.__getitem__)
    assert exp.search.parameters["batch"].values == [8, 44, 20]
    assert len(notes) == 2
    assert with_batches(experiment(space="batch: {value: -1}"), FOUND.__getitem__)[0].space.values("batch") == [44]


def test_a_batch_that_is_a_choice_already_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"holds one batch twice; remove one of the two"):
        with_batches(experiment(space="batch: {values: [16, -1]}"), lambda _: 16)


def test_an_experiment_with_numbers_asks_for_nothing() -> None:
    assert open_batches(experiment("batch: 8")) == open_batches(experiment()) == []


def test_the_batch_is_found_at_the_largest_image_size() -> None:
    exp = experiment(space="batch: {values: [8, -1]}, imgsz: {values: [320, 640]}")
    parameters, settings = largest_request(exp, -1)
    assert (parameters["imgsz"], parameters["batch"]) == (640, -1)
    assert (settings["imgsz"], settings["batch"], settings["optimizer"]) == (640, -1, "SGD")


def test_every_kind_of_gpu_is_asked_once() -> None:
    nodes = {
        "a": {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0},
        "b": {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0},
        "c": {"CPU": 8.0, "GPU": 1.0, "accelerator_type:T4": 1.0},
        "d": {"CPU": 8.0},
    }
    assert one_of_each_kind(nodes, 1.0) == ["a", "c"]
    assert one_of_each_kind(nodes, 0.0) == ["a"]


def test_a_shared_gpu_is_filled_by_its_share() -> None:
    from yolosweep.backends.ultralytics.trainer import auto_share

    assert auto_share(-1, 1.0) == auto_share(-1, 0) == 0.6
    assert auto_share(-1, 0.5) == 0.3
    assert auto_share(0.8, 0.25) == 0.2
    assert auto_share(0.8, 2.0) == 0.8


def test_a_backend_without_gpus_has_its_default(tmp_path: Path) -> None:
    from yolosweep.records import TrialRequest

    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="detect", model="toy/red", data="d", asked={}, identity="i",
        metric="m", folder=str(tmp_path), settings={"batch": -1},
    )  # fmt: skip
    assert trainer_for("toy/red").find_batch(request) == 16
