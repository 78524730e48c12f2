"""Predictions as pre-annotations: one import into Label Studio or CVAT, in which people correct them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from yolosweep.records.image_predictions import Answer, Shape

__all__ = ["preannotations"]

_BOXES, _POLYGONS = "label", "polygon"


def preannotations(answers: Sequence[Answer], names: Iterable[str]) -> dict[str, str]:
    """Return files by name: tasks and labelling interface for Label Studio, annotations for CVAT.

    Label Studio reads the images as local files below its document root ``/``; in CVAT the task has to be made of the
    same images first.

    Args:
        answers: images with predictions, in the order in which they are to be looked at.
        names: all classes.
    """
    outlines = any(shape.outline for one in answers for shape in one.predictions)
    tasks = [_task(one) for one in answers]
    return {
        "label-studio.json": json.dumps(tasks, indent=1, ensure_ascii=False) + "\n",
        "label-studio-interface.xml": _interface(list(names), outlines),
        "cvat.xml": _cvat(answers, list(names)),
    }


def _task(one: Answer) -> dict[str, object]:
    scores = [shape.confidence for shape in one.predictions if shape.confidence is not None]
    results = [_result(one, shape, number) for number, shape in enumerate(one.predictions) if shape.box is not None]
    prediction = {"model_version": "yolosweep", "score": min(scores, default=0.0), "result": results}
    place = quote(os.path.abspath(one.image).lstrip("/"))
    return {"data": {"image": f"/data/local-files/?d={place}"}, "predictions": [prediction]}


def _result(one: Answer, shape: Shape, number: int) -> dict[str, object]:
    kind = "polygon" if shape.outline else "rectangle"
    value: dict[str, object] = {f"{kind}labels": [shape.name]}
    if shape.outline:
        value["points"] = [[round(100 * x, 4), round(100 * y, 4)] for x, y in shape.outline]
    else:
        left, top, right, bottom = shape.box or (0, 0, 0, 0)
        sides = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        value |= {**{name: round(100 * side, 4) for name, side in sides.items()}, "rotation": 0}
    return {
        "id": f"y{number}",
        "type": f"{kind}labels",
        "from_name": _POLYGONS if shape.outline else _BOXES,
        "to_name": "image",
        "original_width": one.width,
        "original_height": one.height,
        "image_rotation": 0,
        "value": value,
        **({} if shape.confidence is None else {"score": shape.confidence}),
    }


def _interface(names: Sequence[str], outlines: bool) -> str:
    view = Element("View")
    SubElement(view, "Image", {"name": "image", "value": "$image"})
    tools = {"RectangleLabels": _BOXES, **({"PolygonLabels": _POLYGONS} if outlines else {})}
    for tool, name in tools.items():
        labels = SubElement(view, tool, {"name": name, "toName": "image"})
        for label in names:
            SubElement(labels, "Label", {"value": label})
    return _written(view)


def _cvat(answers: Sequence[Answer], names: Sequence[str]) -> str:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for name in names:
        SubElement(SubElement(labels, "label"), "name").text = name
    base = os.path.commonpath([os.path.dirname(one.image) for one in answers]) if answers else ""
    for number, one in enumerate(answers):
        size = {"width": str(one.width), "height": str(one.height)}
        image = SubElement(root, "image", {"id": str(number), "name": os.path.relpath(one.image, base), **size})
        for shape in one.predictions:
            if shape.box is not None:
                _cvat_shape(image, one, shape)
    return _written(root)


def _cvat_shape(image: Element, one: Answer, shape: Shape) -> None:
    about: Mapping[str, str] = {"label": shape.name, "source": "auto", "occluded": "0", "z_order": "0"}
    if shape.outline:
        points = ";".join(f"{x * one.width:.2f},{y * one.height:.2f}" for x, y in shape.outline)
        SubElement(image, "polygon", {**about, "points": points})
        return
    left, top, right, bottom = shape.box or (0, 0, 0, 0)
    edges = {"xtl": left * one.width, "ytl": top * one.height, "xbr": right * one.width, "ybr": bottom * one.height}
    SubElement(image, "box", {**about, **{name: f"{edge:.2f}" for name, edge in edges.items()}})


def _written(root: Element) -> str:
    indent(root)
    return tostring(root, encoding="unicode") + "\n"
