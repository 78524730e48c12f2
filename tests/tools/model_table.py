"""The table of ``platform/docs/models.md``: every model YAML that Ultralytics ships, trained or refused."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from yolosweep.backends.ultralytics.model_lookup import model_faults, unscaled
from yolosweep.backends.ultralytics.tasks import TASKS

MODELS = {
    "detect": (
        "yolov3-tiny yolov3 yolov3-spp yolov5n yolov5n-p6 yolov6n yolov8n yolov8n-p2 yolov8n-p6 yolov8n-ghost "
        "yolov8n-ghost-p2 yolov8n-ghost-p6 yolov9t yolov10n yolov10b yolo11n yolo12n yolo26n yolo26n-p2 yolo26n-p6"
    ),
    "segment": "yolov8n-seg yolov8n-seg-p6 yolov9c-seg yolo11n-seg yolo12n-seg yolo26n-seg",
    "pose": "yolov8n-pose yolov8n-pose-p6 yolo11n-pose yolo12n-pose yolo26n-pose",
    "obb": "yolov8n-obb yolo11n-obb yolo12n-obb yolo26n-obb",
    "classify": "yolov8n-cls yolov8n-cls-resnet50 yolov8n-cls-resnet101 yolo11n-cls yolo12n-cls yolo26n-cls",
}
"""Task → the models that ``tests/contract/test_models.py`` trains, in their smallest sizes."""

NOT_TRAINED_HERE = {
    "yolo11-cls-resnet18": "accepted; torchvision downloads weights in every trial, so no test trains it"
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model, in all its sizes."""

    name: str
    tasks: tuple[str, ...]
    trained: str | None
    """The size that a test trains."""
    note: str

    @property
    def is_silent(self) -> bool:
        return self.trained is None and not self.note


def rows() -> list[Row]:
    """Return a row for every model of the installed release, its sizes taken together."""
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    shipped = {file.name for file in (Path(spec.origin).parent / "cfg" / "models").glob("*/*.yaml")}
    trained = {unscaled(f"{name}.yaml"): name for names in MODELS.values() for name in names.split()}
    sizes = {unscaled(file).removesuffix(".yaml"): file for file in shipped}
    return [_row(name, sizes[name], trained.get(f"{name}.yaml")) for name in sorted(sizes)]


def _row(name: str, file: str, trained: str | None) -> Row:
    faults = {task: [fault.message for fault in model_faults(file, task)] for task in TASKS}
    tasks = tuple(task for task, found in faults.items() if not found)
    refusal = "" if tasks else faults["detect"][0].partition(" is ")[2].partition("; ")[0]
    return Row(
        name=name,
        tasks=tasks,
        trained=trained if tasks else None,
        note=NOT_TRAINED_HERE.get(name, refusal and f"refused: {refusal}"),
    )


def page() -> str:
    """Return the generated part of ``models.md``."""
    counted = rows()
    trained = sum(row.trained is not None for row in counted)
    refused = sum(not row.tasks for row in counted)
    lines = [
        f"{len(counted)} models: {trained} are trained by the tests, {refused} are refused before anything starts.\n",
        "| model | task | trained by the tests as | |",
        "| --- | --- | --- | --- |",
    ]
    for row in counted:
        size = f"`{row.trained}.yaml`" if row.trained else ""
        lines.append(f"| `{row.name}` | {', '.join(row.tasks)} | {size} | {row.note} |")
    return "\n".join(lines) + "\n"
