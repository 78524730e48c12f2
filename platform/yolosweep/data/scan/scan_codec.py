"""Encodes scan results as one line of text, for reader processes and for the scan cache."""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

from yolosweep.data.model.dataset_items import ImageFacts, LabelFile, Problem, Row

__all__ = ["PackedLabels", "decode_image", "decode_label", "encode_image", "encode_label"]


def encode_image(facts: ImageFacts) -> str:
    """Return image facts as text."""
    return json.dumps(facts)


def decode_image(text: str) -> ImageFacts:
    """Return the facts that :func:`encode_image` encoded."""
    return ImageFacts(*json.loads(text))


def encode_label(label: LabelFile) -> str:
    """Return a label file as text of about 40 characters per box: 32-bit numbers in base64."""
    heads, values = array("i"), array("f")
    for row in label.rows:
        heads.extend((row.line, row.category, len(row.points)))
        values.extend(row.box)
        values.extend(row.points)
    packed = [b64encode(numbers.tobytes()).decode() for numbers in (heads, values)]
    return json.dumps([label.sha256, *packed, label.problems])


def decode_label(text: str) -> LabelFile:
    """Return the label file that :func:`encode_label` encoded."""
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
    """Label files by path, decoded on access: polygons as Python numbers would fill the memory."""

    def __init__(self, texts: Mapping[Path, str]) -> None:
        self._texts = texts

    def __getitem__(self, path: Path) -> LabelFile:
        return decode_label(self._texts[path])

    def __contains__(self, path: object) -> bool:
        return path in self._texts

    def __iter__(self) -> Iterator[Path]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
