"""The model an experiment names: there, and made for its task."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.tools import model_table

from yolosweep.backends import backend_for
from yolosweep.backends.ultralytics.model_lookup import unscaled
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
        ("yolo11n", "detect", "write yolo11n.pt to start from trained weights, or yolo11n.yaml to start from scratch"),
        (
            "rtdetr-l.yaml",
            "detect",
            "is RT-DETR, which Ultralytics trains in another way, or not at all; choose a model",
        ),
        ("rtdetr-l.pt", "detect", "is RT-DETR"),
        ("yolov8n-rtdetr.yaml", "detect", "is RT-DETR"),
        ("yolov8s-worldv2.pt", "detect", "is YOLO-World"),
        ("yoloe-11s-seg.pt", "segment", "is YOLOE"),
        ("sam2.1_b.pt", "segment", "is SAM"),
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
        ("yolov10n.yaml", "detect"), ("sample.pt", "detect"), ("real-world.pt", "detect"), ("yoloes.pt", "detect"),
    ],
)  # fmt: skip
def test_other_models_are_accepted(model: str, task: str) -> None:
    assert faults(model, task) == []


SHIPPED = sorted(
    file.name for file in (Path(find_spec("ultralytics").origin).parent / "cfg" / "models").glob("*/*.yaml")
)  # type: ignore[union-attr,arg-type]
TASKS = ("detect", "segment", "classify", "pose", "obb")


@pytest.mark.slow
def test_no_model_that_ultralytics_ships_is_without_a_row_and_no_row_is_silent() -> None:
    rows = model_table.rows()
    assert {row.name for row in rows} == {unscaled(name).removesuffix(".yaml") for name in SHIPPED}
    assert [row.name for row in rows if row.is_silent] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_model_that_ultralytics_ships_is_accepted_for_its_task_alone(name: str) -> None:
    ends = {"-seg": "segment", "-cls": "classify", "-pose": "pose", "-obb": "obb"}
    mine = next((task for end, task in ends.items() if end in name), "detect")
    foreign = any(part in name for part in ("rtdetr", "world", "yoloe", "-depth", "-sem"))
    accepted = [task for task in TASKS if not faults(name, task)]
    assert accepted == ([] if foreign else [mine])


@pytest.mark.parametrize(
    ("layer", "task", "fault"),
    [
        ("Detect", "detect", None),
        ("MyHead", "detect", None),
        ("Segment26", "detect", "is made for segment, not for detect; set task: segment"),
        ("RTDETRDecoder", "detect", "is RT-DETR"),
        ("YOLOESegment26", "segment", "is YOLOE"),
    ],
)
def test_a_file_of_ones_own_may_be_called_anything_but_its_last_layer_decides(
    tmp_path: Path, layer: str, task: str, fault: str | None
) -> None:
    mine = tmp_path / "mine-pose.yaml"
    mine.write_text(f"nc: 1\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [[0], 1, {layer}, [nc]]\n")
    found = faults(str(mine), task)
    assert [fault in one.message for one in found] == [True] if fault else found == []


@pytest.mark.parametrize("content", ["nc: 1\n", "[", "head: 3\n", "\xff", "x" * (1 << 21)])
def test_a_file_that_describes_no_model_is_left_to_ultralytics(tmp_path: Path, content: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(content, encoding="latin-1")
    assert faults(str(mine), "detect") == []
