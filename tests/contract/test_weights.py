"""Weights from strangers: loaded without running code they bring along, or refused before anything starts."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from yolosweep.backends.ultralytics.argument_check import check_arguments, main
from yolosweep.experiment import Experiment

pytestmark = pytest.mark.slow


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.canary}'",)


def hostile_checkpoint(path: Path, canary: Path) -> None:
    import torch

    torch.save({"model": Hostile(canary)}, path)


def hidden_beside_tensors(path: Path, canary: Path) -> None:
    import torch

    torch.save({"model": {"weight": torch.zeros(2)}, "train_args": {"x": [Hostile(canary)]}}, path)


def bare_pickle(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(canary)))


def torchscript(path: Path, canary: Path) -> None:
    import torch

    with torch.serialization._open_zipfile_writer(str(path)) as archive:
        archive.write_record("constants.pkl", b"x", 1)
        archive.write_record("data.pkl", pickle.dumps(Hostile(canary)), len(pickle.dumps(Hostile(canary))))


def empty(path: Path, canary: Path) -> None:
    path.write_bytes(b"")


def without_layers(path: Path, canary: Path) -> None:
    import torch

    torch.save({"conv.weight": torch.zeros(2)}, path)


def cut_off(path: Path, canary: Path) -> None:
    hostile_checkpoint(path, canary)
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("write", [hidden_beside_tensors, bare_pickle, torchscript, without_layers, empty, cut_off])
def test_weights_from_a_stranger_are_refused_and_run_nothing(
    tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canary, weights = tmp_path / "ran", tmp_path / "model.pt"
    write(weights, canary)
    question = {"model": str(weights), "task": "detect", "values": [], "pipelines": []}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(question)))
    main()
    ((key, message),) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert key == "model"
    assert str(weights) in message
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "task", "why"),
    [
        ("pretrained", "detect", "posix.system"),
        ("distill_model", "detect", "posix.system"),
        ("distill_model", "segment", "is made for segment, not for detect"),
        ("pretrained", "segment", None),
    ],
)
def test_weights_beside_the_model_are_checked_too(
    name: str, task: str, why: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import torch

    weights = tmp_path / "start.pt"
    if task == "detect":
        hostile_checkpoint(weights, tmp_path / "ran")
    else:
        torch.save({"model": torch.nn.Identity(), "train_args": {"task": task}}, weights)
    question = {"model": None, "name": "yolo11n.yaml", "task": "detect", "pipelines": []}
    values = [(f"train.{name}", name, str(weights))]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({**question, "values": values})))
    main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(key, why in message) for key, message in found] == ([(f"train.{name}", True)] if why else [])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("model", "name", "value", "why"),
    [
        ("yolo11n.yaml", "freeze", 99, "99 freezes all 24 layers"),
        pytest.param("yolo11n.yaml", "freeze", [10, "23.cv2"], None, marks=pytest.mark.nightly),
        ("yolov8n-p6.yaml", "imgsz", 96, "is no multiple of 64, the stride of yolov8n-p6.yaml; write 128"),
        pytest.param("yolov8n-p2.yaml", "imgsz", 96, None, marks=pytest.mark.nightly),
    ],
)
def test_arguments_fit_the_layers_of_the_model(
    model: str, name: str, value: Any, why: str | None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    values = [(f"train.{name}", name, value)]
    question = {"model": None, "name": model, "task": "detect", "pipelines": [], "values": values}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(question)))
    main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(key, why in message) for key, message in found] == ([(f"train.{name}", True)] if why else [])


@pytest.mark.parametrize(
    ("activation", "layer", "why"),
    [
        pytest.param(
            "__import__('os').system('touch {canary}')", "Conv", "unsupported activation", marks=pytest.mark.nightly
        ),
        ("nn.SiLU(__import__('os').system('touch {canary}'))", "Conv", "unsupported activation"),
        ("nn.SiLU()", "torch_safe_load", "names the layer torch_safe_load, which Ultralytics does not have"),
        pytest.param("nn.SiLU()", "nn.Unheard", "names the layer nn.Unheard", marks=pytest.mark.nightly),
        ("nn.SiLU()", "nn.LeakyReLU", "cannot be built"),
        ("nn.SiLU()", "Conv", None),
    ],
)
def test_a_model_yaml_from_a_stranger_is_refused_and_runs_nothing(
    tmp_path: Path, activation: str, layer: str, why: str | None
) -> None:
    canary, model = tmp_path / "ran", tmp_path / "model.yaml"
    model.write_text(
        f"nc: 1\nactivation: {json.dumps(activation.format(canary=canary))}\n"
        f"backbone:\n  - [-1, 1, {layer}, [16, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n"
    )
    search = {"trials": 1, "parameters": {"lr0": {"value": 0.01}}}
    exp = Experiment.model_validate({"name": "x", "model": str(model), "data": "d.yaml", "search": search})
    found, _ = check_arguments(exp.space)
    assert [why in fault.message for fault in found] == [True] if why else found == []
    assert not canary.exists()


def test_an_experiment_with_hostile_weights_is_refused_before_anything_starts(tmp_path: Path) -> None:
    canary, weights = tmp_path / "ran", tmp_path / "model.pt"
    hostile_checkpoint(weights, canary)
    search = {"trials": 1, "parameters": {"lr0": {"value": 0.01}}}
    exp = Experiment.model_validate({"name": "x", "model": str(weights), "data": "d.yaml", "search": search})
    (fault,), _ = check_arguments(exp.space)
    assert fault.key == "model"
    assert "posix.system" in fault.message
    assert not canary.exists()


def test_weights_of_another_task_are_refused_whatever_they_are_called(tmp_path: Path) -> None:
    import torch

    weights = tmp_path / "best.pt"
    torch.save({"model": torch.nn.Identity(), "train_args": {"task": "segment"}}, weights)
    named = {"name": "x", "model": str(weights), "data": "d.yaml"}
    named["search"] = {"trials": 1, "parameters": {"box": {"value": 7.5}}}
    (fault,), _ = check_arguments(Experiment.model_validate({**named, "task": "pose"}).space)
    assert (fault.key, "made for segment, not for pose; set task: segment" in fault.message) == ("model", True)
    assert check_arguments(Experiment.model_validate({**named, "task": "segment"}).space) == ([], [])


def test_other_classes_than_those_of_the_data_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultralytics import YOLO

    model: Any = YOLO("yolo11n-cls.yaml", task="classify")
    model.save(tmp_path / "thousand.pt")
    (tmp_path / "five.yaml").write_text(
        "nc: 5\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [-1, 1, Classify, [nc]]\n"
    )

    def told(name: str, classes: int) -> list[str]:
        question = {
            "model": str(tmp_path / name), "task": "classify", "classes": classes, "values": [], "pipelines": [],
        }  # fmt: skip
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(question)))
        main()
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert all(key == "note" for key, _ in found)
        return [message for _, message in found]

    assert told("thousand.pt", 1000) == told("five.yaml", 5) == []
    assert "was trained on 1000 classes, the data have 3" in told("thousand.pt", 3)[0]
    assert told("five.yaml", 3) == ["five.yaml has nc: 5, which the 3 classes of the data replace"]
