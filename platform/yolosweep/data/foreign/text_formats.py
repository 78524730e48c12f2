"""Ultralytics' NDJSON, one image a line, and DOTA's ``labelTxt``, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yolosweep.data.foreign.image_index import ImageIndex
from yolosweep.data.foreign.label_values import MALFORMED, Annotations, Shape, boxed, numbers, outlined
from yolosweep.data.scan.image_reading import size_of
from yolosweep.data.scan.row_kinds import is_dota_row

__all__ = ["is_dota", "read_dota", "read_ndjson"]

_ONE = (1, 1)
_DOTA = 9
"""Columns with the class: four corners before it; the difficulty may follow."""


def read_ndjson(text: str, file: Path, index: ImageIndex, into: Annotations) -> None:
    """Add the labels of an NDJSON file; images that are only on a server are left out.

    Raises:
        ValueError, TypeError: the first line is not that of a data set.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    head = json.loads(lines[0]) if lines else None
    if not isinstance(head, dict) or not isinstance(head.get("class_names"), dict):
        raise ValueError("its first line has no class_names")
    names = {int(number): str(name) for number, name in head["class_names"].items()}
    into.name(*(names[number] for number in sorted(names)))
    for line in lines[1:]:
        try:
            record = json.loads(line)
            image = index.find(str(record["file"]), file)
            if image is None:
                into.left_out["images that are not in the folder (nothing is downloaded)"] += 1
                continue
            split = record.get("split") if record.get("split") in ("train", "val", "test") else ""
            shapes = [
                shape for kind, rows in (record.get("annotations") or {}).items() for shape in _rows(kind, rows, names)
            ]
            into.add(image, shapes, split)
        except (*MALFORMED, RecursionError):
            into.left_out["malformed lines"] += 1


def _rows(kind: str, rows: Any, names: dict[int, str]) -> Iterator[Shape]:
    for row in rows:
        name, values = names[int(row[0])], numbers(row[1:])
        if kind in ("boxes", "pose"):
            x, y, width, height = values[:4]
            shape = boxed(name, x - width / 2, y - height / 2, x + width / 2, y + height / 2, _ONE)
            points = values[4:]
            if shape is not None and kind == "pose":
                shape = shape._replace(keypoints=tuple(points))
        else:
            shape = outlined(name, values, _ONE)
        if shape is not None:
            yield shape


def is_dota(text: str) -> bool:
    """Return whether a label file has rows of DOTA."""
    rows = [words for line in text.splitlines() if (words := line.split()) and ":" not in words[0]]
    return bool(rows) and all(map(is_dota_row, rows))


def read_dota(text: str, file: Path, index: ImageIndex, into: Annotations, split: str) -> None:
    """Add the labels of one file of DOTA."""
    image = index.find("", file, stem=file.stem)
    size = size_of(image) if image is not None else None
    if image is None or size is None:
        into.left_out["images that are not in the folder"] += 1
        return
    rows = [
        parts for line in text.splitlines() if (parts := line.split()) and ":" not in parts[0]
    ]  # imagesource:, gsd:
    into.add(image, into.shapes(rows, lambda row: outlined(row[_DOTA - 1], row[: _DOTA - 1], size)), split)
