"""The model an experiment names: there, and made for its task."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolosweep.backends import backend_for
from yolosweep.errors import Fault


def faults(model: str, task: str) -> list[Fault]:
    return backend_for(model).model_faults(model, task)


@pytest.mark.parametrize(
    ("model", "task", "fix"),
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
def test_a_model_that_cannot_be_trained_is_a_fault_of_the_file(model: str, task: str, fix: str) -> None:
    (fault,) = faults(model, task)
    assert fault.key == "model"
    assert fix in fault.message


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("yolo26n.pt", "detect"), ("yolo11n.yaml", "detect"), ("yolo26x-seg.pt", "segment"),
        ("yolov8n-obb.yaml", "obb"), ("yolo26n-p2.yaml", "detect"), ("best.pt", "pose"), ("toy/red", "classify"),
    ],
)  # fmt: skip
def test_other_models_are_accepted(model: str, task: str) -> None:
    assert faults(model, task) == []


def test_a_file_of_ones_own_may_be_called_anything(tmp_path: Path) -> None:
    mine = tmp_path / "mine-seg.yaml"
    mine.write_text("nc: 1\n")
    assert faults(str(mine), "detect") == []
