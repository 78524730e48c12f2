"""The model an experiment names: there, and made for its task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yolosweep.backends.ultralytics.model_files import model_faults
from yolosweep.experiment import Experiment


def experiment(model: str, task: str) -> Experiment:
    named: Any = {"name": "x", "task": task, "model": model, "data": "d.yaml"}
    return Experiment.model_validate({**named, "search": {"parameters": {"lr0": {"min": 0.1, "max": 0.2}}}})


@pytest.mark.parametrize(
    ("model", "task", "way_out"),
    [
        ("yolo26n-seg.pt", "detect", "set task: segment, or a model such as yolo26n.pt"),
        ("yolo26n.pt", "segment", "set task: detect, or a model such as yolo26n-seg.pt"),
        ("yolo11n.yaml", "classify", "set task: detect, or a model such as yolo26n-cls.pt"),
        ("weights/yolov8x-pose.pt", "obb", "set task: pose, or a model such as yolo26n-obb.pt"),
        ("yolov5nu.pt", "pose", "set task: detect"),
        ("yolo26n-depth.pt", "detect", "not for detect; choose a model such as yolo26n.pt"),
        ("yolo99n.yaml", "detect", "there is no yolo99n.yaml"),
        ("model.onnx", "detect", "there is no model.onnx"),
    ],
)
def test_a_model_that_cannot_be_trained_is_a_fault_of_the_file(model: str, task: str, way_out: str) -> None:
    (fault,) = model_faults(experiment(model, task))
    assert fault.key == "model"
    assert way_out in fault.message


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("yolo26n.pt", "detect"), ("yolo11n.yaml", "detect"), ("yolo26x-seg.pt", "segment"),
        ("yolov8n-obb.yaml", "obb"), ("yolo26n-p2.yaml", "detect"), ("best.pt", "pose"), ("toy/red", "classify"),
    ],
)  # fmt: skip
def test_others_are_let_pass(model: str, task: str) -> None:
    assert model_faults(experiment(model, task)) == []


def test_a_file_of_ones_own_may_be_called_anything(tmp_path: Path) -> None:
    mine = tmp_path / "mine-seg.yaml"
    mine.write_text("nc: 1\n")
    assert model_faults(experiment(str(mine), "detect")) == []
