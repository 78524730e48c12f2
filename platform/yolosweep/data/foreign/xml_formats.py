"""Pascal VOC, a file per image, and CVAT for images, one file; as XML, which ``defusedxml`` reads without entities."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yolosweep.data.foreign.image_index import ImageIndex
from yolosweep.data.foreign.label_values import Annotations, NotConverted, Shape, boxed, outlined, turned
from yolosweep.data.model.safe_paths import printable, read_regular
from yolosweep.errors import DataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["read_cvat", "read_voc", "xml_of"]

_BYTES = 1 << 28


def xml_of(file: Path) -> Element:
    """Return the root of an XML file of at most 256 MiB.

    Raises:
        DataError: it is not well-formed, or declares a document type or entities.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root: Element = fromstring(read_regular(file, _BYTES), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise DataError(f"data: {printable(file)} cannot be read as XML: {printable(error)}") from error
    return root


def read_voc(root: Element, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of one Pascal VOC file; also rotated boxes of roLabelImg."""
    image = index.find(root.findtext("filename") or "", file, stem=file.stem)
    if image is None:
        into.left_out["images that are not in the folder"] += 1
        return
    size = (root.findtext("size/width") or 0, root.findtext("size/height") or 0)
    into.add(image, into.shapes(root.iterfind("object"), lambda one: _voc_shape(one, size)), split)


def _voc_shape(one: Element, size: tuple[object, object]) -> Shape | None:
    name, turn = one.findtext("name"), one.find("robndbox")
    if turn is not None:
        x, y, width, height, angle = (turn.findtext(key) for key in ("cx", "cy", "w", "h", "angle"))
        return turned(name, (x, y), (width, height), angle, size)
    polygon = one.find("polygon")
    if polygon is not None and len(polygon) >= 6:
        points = [polygon.findtext(f"{axis}{n}") for n in range(1, len(polygon) // 2 + 1) for axis in "xy"]
        return outlined(name, points, size)
    left, top, right, bottom = (float(one.findtext(f"bndbox/{key}") or "") for key in _EDGES)
    # Pixels are counted from 1, both included: 1 to 64 is the whole of an image of 64.
    return boxed(name, left - 1, top - 1, right, bottom, size)


_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_cvat(root: Element, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of a file "CVAT for images 1.1"."""
    into.name(*(name.text for name in root.iterfind("meta//label/name") if name.text))
    if root.find("track") is not None:
        into.left_out["tracks of a video (export it as CVAT for images)"] += len(root.findall("track"))
    for one in root.iterfind("image"):
        image = index.find(one.get("name", ""), file)
        if image is None:
            into.left_out["images that are not in the folder"] += 1
            continue
        subset = one.get("subset", "").lower()
        size = (one.get("width"), one.get("height"))
        drawn = [part for part in one if part.tag != "tag"]
        shapes = into.shapes(drawn, partial(_cvat_shape, size=size))
        into.add(image, shapes, subset if subset in ("train", "val", "test") else split)


def _cvat_shape(one: Element, size: tuple[object, object]) -> Shape | None:
    label = one.get("label")
    if one.tag == "polygon":
        return outlined(label, one.get("points", "").replace(";", ",").split(","), size)
    if one.tag != "box":
        raise NotConverted(f"objects of the kind {printable(one.tag, 20)}")
    left, top, right, bottom = (float(one.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(float(one.get("rotation", 0)))
    if not angle:
        return boxed(label, left, top, right, bottom, size)
    return turned(label, ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top), angle, size)
