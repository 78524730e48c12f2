"""Label Studio's JSON and JSON-MIN exports: boxes, rotated boxes, ellipses and polygons, in percent of the image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from yolosweep.data.foreign.image_index import ImageIndex
from yolosweep.data.foreign.label_values import MALFORMED, Annotations, NotConverted, Shape, boxed, outlined, turned
from yolosweep.data.model.safe_paths import is_image

__all__ = ["is_label_studio", "read_label_studio"]

_WHOLE = (100, 100)


def is_label_studio(content: Any) -> bool:
    """Return whether a JSON value is a list of tasks."""
    one = content[0] if isinstance(content, list) and content else None
    return isinstance(one, dict) and (
        (isinstance(one.get("data"), dict) and isinstance(one.get("annotations", one.get("predictions")), list))
        or (isinstance(one.get("label"), list) and "annotator" in one)
    )


def read_label_studio(content: Any, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of an export; tasks that nobody has labelled are left out."""
    for task in content:
        try:
            data = task.get("data", task)
            names = [value for value in data.values() if isinstance(value, str) and _names_image(value)]
            image = next((found for name in names if (found := index.find(name, file)) is not None), None)
            results, checked = _results(task)
        except MALFORMED:
            into.left_out["malformed tasks"] += 1
            continue
        if image is None:
            into.left_out["images that are not in the folder"] += 1
        elif results is None:
            into.left_out["tasks without an annotation"] += 1
        else:
            into.add(image, into.shapes(filter(_is_region, results), _region), split)
            into.left_out["tasks with predictions that nobody has checked"] += not checked


def _names_image(value: str) -> bool:
    return is_image(value.rpartition("?d=")[2])


def _results(task: dict[str, Any]) -> tuple[list[Any] | None, bool]:
    """Return what the last person drew who did not skip the task, and whether a person did; None if there is nothing.

    Predictions count only in a file for the import, which has no annotations.
    """
    if "annotations" not in task and isinstance(task.get("predictions"), list):
        return (list(task["predictions"][-1]["result"]) if task["predictions"] else None), False
    if "annotations" not in task:
        return (list(task["label"]) if isinstance(task.get("label"), list) else None), True
    done = [one for one in task["annotations"] if isinstance(one, dict) and not one.get("was_cancelled")]
    return (list(done[-1]["result"]) if done else None), True


def _is_region(one: Any) -> bool:
    """Return whether a result draws something: others are a choice or a text about the image."""
    value = one.get("value", one) if isinstance(one, dict) else None
    return not isinstance(value, dict) or _labels(value) is not None  # what is malformed is counted later


def _labels(value: dict[str, Any]) -> Any:
    return next((value[key] for key in value if key.endswith("labels") and value[key]), None)


def _region(one: dict[str, Any]) -> Shape | None:
    value = one.get("value", one)
    return _shape(str(_labels(value)[0]), value)


def _shape(label: str, value: dict[str, Any]) -> Shape | None:
    if "points" in value:
        return outlined(label, [v for point in value["points"] for v in point], _WHOLE)
    if "radiusX" in value:
        x, y, wide, high = (float(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
        return boxed(label, x - wide, y - high, x + wide, y + high, _WHOLE)
    if "width" not in value or "height" not in value:
        raise NotConverted("keypoints and brush masks")
    x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
    angle = math.radians(float(value.get("rotation") or 0))
    if not angle:
        return boxed(label, x, y, x + width, y + height, _WHOLE)
    # The rotation is about the top left corner, in pixels, which percentages of both sides are not.
    size = (value.get("original_width", 100), value.get("original_height", 100))
    across, down = (float(side) / 100 for side in size)
    left, top, wide, high = x * across, y * down, width * across, height * down
    cos, sin = math.cos(angle), math.sin(angle)
    center = (left + wide / 2 * cos - high / 2 * sin, top + wide / 2 * sin + high / 2 * cos)
    return turned(label, center, (wide, high), angle, size)
