"""Formats with a JSON file per image: labelme's ``a.json`` beside ``a.jpg``, Supervisely's ``ann/a.jpg.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yolosweep.data.foreign.image_index import ImageIndex
from yolosweep.data.foreign.label_values import Annotations, NotConverted, Shape, boxed, outlined

__all__ = ["is_labelme", "is_supervisely", "read_labelme", "read_supervisely"]


def is_labelme(content: Any) -> bool:
    """Return whether a JSON value is a labelme file."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def is_supervisely(content: Any) -> bool:
    """Return whether a JSON value is a Supervisely annotation."""
    return isinstance(content, dict) and isinstance(content.get("objects"), list) and "size" in content


def read_labelme(content: Any, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of one labelme file."""
    image = index.find(str(content["imagePath"]), file, stem=file.stem)
    size = (content.get("imageWidth"), content.get("imageHeight"))
    shapes = [(one, one.get("points")) for one in content["shapes"] if isinstance(one, dict)]
    _add(
        image,
        ((one.get("label"), one.get("shape_type") or "polygon", points) for one, points in shapes),
        size,
        into,
        split,
    )


def read_supervisely(content: Any, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of one Supervisely file."""
    size = content["size"] if isinstance(content["size"], dict) else {}
    objects = [one for one in content["objects"] if isinstance(one, dict)]
    found = ((one.get("classTitle"), str(one.get("geometryType", "polygon")), _exterior(one)) for one in objects)
    _add(index.find(file.stem, file), found, (size.get("width"), size.get("height")), into, split)


def _exterior(one: dict[str, Any]) -> Any:
    points = one.get("points")
    return points.get("exterior") if isinstance(points, dict) else None


def _add(
    image: Path | None, objects: Iterator[tuple[Any, Any, Any]], size: tuple[Any, Any], into: Annotations, split: str
) -> None:
    if image is None:
        into.left_out["images that are not in the folder"] += 1
        return
    into.add(image, into.shapes(objects, lambda one: _shape(*one, size)), split)


def _shape(label: Any, kind: Any, points: Any, size: tuple[Any, Any]) -> Shape | None:
    if kind not in ("rectangle", "polygon", "circle"):
        raise NotConverted(f"objects of the kind {str(kind)[:20]}")
    if kind == "polygon":
        return outlined(label, [value for point in points for value in point[:2]], size)
    (x1, y1), (x2, y2) = ((float(point[0]), float(point[1])) for point in (points[0], points[-1]))
    if kind == "circle":  # its center, and a point on its edge
        radius = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        return boxed(label, x1 - radius, y1 - radius, x1 + radius, y1 + radius, size)
    return boxed(label, min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2), size)
