"""COCO JSON: detection, polygons and keypoints; also Roboflow's, CVAT's and Label Studio's exports of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yolosweep.data.foreign.image_index import ImageIndex
from yolosweep.data.foreign.label_values import MALFORMED, Annotations, Shape, boxed, outlined, shifted

__all__ = ["is_coco", "read_coco"]

_MOST_PAIRS = 1_000_000
"""Of points that are compared to join two parts of one object; larger parts are joined anywhere."""


def is_coco(content: Any) -> bool:
    """Return whether a JSON value is a COCO file."""
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    )


def read_coco(content: Any, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of one COCO file."""
    categories = _categories(content)
    into.name(*categories.values())
    into.keypoints = into.keypoints or next(
        (tuple(map(str, one["keypoints"])) for one in content["categories"] if _listed(one, "keypoints")), ()
    )
    images: dict[Any, tuple[Path, tuple[Any, Any]]] = {}
    for one in content["images"]:
        try:
            found = index.find(str(one["file_name"]), file)
            if found is None:
                into.left_out["images that are not in the folder"] += 1
                continue
            images[one["id"]] = found, (one["width"], one["height"])
            into.add(found, (), split)
        except MALFORMED:
            into.left_out["malformed images"] += 1
    for one in content["annotations"]:
        try:
            if one["image_id"] in images:
                image, size = images[one["image_id"]]
                into.add(image, _shapes(one, categories[one["category_id"]], size, into.left_out))
        except MALFORMED:
            into.left_out["malformed objects"] += 1


def _categories(content: Any) -> dict[Any, str]:
    """Return the classes by id, in order; without the class of everything that Roboflow adds and never uses."""
    listed = [one for one in content["categories"] if isinstance(one, dict) and one.get("name")]
    listed = [one for one in listed if isinstance(one.get("id"), (int, str))]
    used = Counter(str(one.get("category_id")) for one in content["annotations"] if isinstance(one, dict))
    above = {str(one.get("supercategory")) for one in listed}
    kept = [one for one in listed if used[str(one["id"])] or str(one["name"]) not in above or _own(one)]
    return {one["id"]: str(one["name"]) for one in sorted(kept, key=lambda one: (str(type(one["id"])), one["id"]))}


def _own(category: dict[str, Any]) -> bool:
    return bool(category.get("supercategory") == category["name"])


def _shapes(one: dict[str, Any], name: str, size: tuple[Any, Any], left_out: Counter[str]) -> Iterator[Shape]:
    if one.get("iscrowd"):
        left_out["crowds (iscrowd)"] += 1
        return
    keypoints = shifted(one["keypoints"], size) if _listed(one, "keypoints") else ()
    parts = one["segmentation"] if _listed(one, "segmentation") else []
    if isinstance(one.get("segmentation"), dict):
        left_out["RLE masks, of which the boxes are kept"] += 1
    shape = outlined(name, _joined(parts), size) if parts else None
    box = boxed(name, *_edges(one), size) if one.get("bbox") else shape
    if box is None:
        left_out["objects outside of the image"] += 1
        return
    yield box._replace(outline=shape.outline if shape is not None else (), keypoints=keypoints)


def _edges(one: dict[str, Any]) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, one["bbox"])
    return x, y, x + width, y + height


def _listed(one: Any, key: str) -> bool:
    return isinstance(one, dict) and isinstance(one.get(key), list) and bool(one[key])


def _joined(parts: Sequence[Sequence[float]]) -> list[float]:
    """Return several polygons as one, joined by lines between the closest points, as Ultralytics does."""
    whole = _points(parts[0])
    for part in parts[1:]:
        more = _points(part)
        pairs = ((_apart(a, b), at, other) for at, a in enumerate(whole) for other, b in enumerate(more))
        _, at, other = min(pairs) if len(whole) * len(more) < _MOST_PAIRS else (0.0, 0, 0)
        whole = [*whole[: at + 1], *more[other:], *more[: other + 1], *whole[at:]]
    return [value for point in whole for value in point]


def _points(part: Sequence[Any]) -> list[tuple[float, float]]:
    flat = [float(value) for value in part]
    return list(zip(flat[0::2], flat[1::2], strict=True))


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2
