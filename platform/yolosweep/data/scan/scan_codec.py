"""What was read of a file as one line of text: how reader processes answer, and how it is kept between runs."""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

from yolosweep.data.model.items import LabelFile, Picture, Problem, Row

__all__ = ["PackedLabels", "label_of_text", "picture_of_text", "text_of_label", "text_of_picture"]


def text_of_picture(picture: Picture) -> str:
    """Return a picture as text."""
    return json.dumps(picture)


def picture_of_text(text: str) -> Picture:
    """Return the picture that :func:`text_of_picture` wrote."""
    return Picture(*json.loads(text))


def text_of_label(label: LabelFile) -> str:
    """Return a label file as text, of about 40 letters a box: numbers as 32 bits each, in base64."""
    heads, values = array("i"), array("f")
    for row in label.rows:
        heads.extend((row.line, row.category, len(row.points)))
        values.extend(row.box)
        values.extend(row.points)
    packed = [b64encode(numbers.tobytes()).decode() for numbers in (heads, values)]
    return json.dumps([label.sha256, *packed, label.problems])


def label_of_text(text: str) -> LabelFile:
    """Return the label file that :func:`text_of_label` wrote."""
    digest, heads, values, problems = json.loads(text)
    numbers, floats = array("i", b64decode(heads)), array("f", b64decode(values))
    return LabelFile(digest, tuple(_rows(numbers, floats)), tuple(Problem(*one) for one in problems))


def _rows(heads: array[int], values: array[float]) -> Iterator[Row]:
    start = 0
    for at in range(0, len(heads), 3):
        end = start + 4 + heads[at + 2]
        x, y, width, height = values[start : start + 4]
        yield Row(heads[at], heads[at + 1], (x, y, width, height), tuple(values[start + 4 : end]))
        start = end


class PackedLabels(Mapping[Path, LabelFile]):
    """Label files by path, each unpacked when it is asked for: polygons as Python numbers would fill the memory."""

    def __init__(self, texts: Mapping[Path, str]) -> None:
        self._texts = texts

    def __getitem__(self, path: Path) -> LabelFile:
        return label_of_text(self._texts[path])

    def __contains__(self, path: object) -> bool:
        return path in self._texts

    def __iter__(self) -> Iterator[Path]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
