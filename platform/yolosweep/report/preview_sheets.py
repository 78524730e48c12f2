"""Augmentation previews as contact sheets for the page of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from yolosweep.backends.sample_preview import Preview
from yolosweep.report.contact_sheets import Mark, Tile, encoded
from yolosweep.report.data_page import Gallery

__all__ = ["galleries"]

_NOTES = {
    "as it is": "Only resized to imgsz.",
    "mosaic": "Four images of train combined.",
    "hsv": "Hue, saturation and brightness at the limits of the settings.",
    "all together": "With the probabilities of the settings: what a training sees.",
}
_PIPELINE = "Every step applied, whatever its probability in training."


def galleries(previews: Iterable[Preview], side: int = 160) -> tuple[Gallery, ...]:
    """Return a contact sheet per part of the augmentation of an experiment, in the order of the previews."""
    return tuple(
        Gallery(name=look, tiles=tuple(_tile(preview, side) for preview in same), note=_NOTES.get(look, _PIPELINE))
        for look, same in groupby(previews, key=lambda preview: preview.look)
    )


def _tile(preview: Preview, side: int) -> Tile:
    height, width = preview.pixels.shape[:2]
    marks = []
    for index, (left, top, right, bottom) in enumerate(preview.boxes):
        middle = (left + right) / 2 / width, (top + bottom) / 2 / height
        points = preview.polygons[index] if preview.polygons else ()
        shares = tuple(value / (height if odd % 2 else width) for odd, value in enumerate(points))
        box = (*middle, (right - left) / width, (bottom - top) / height)
        marks.append(Mark(preview.categories[index], box, shares))
    return Tile(jpeg=encoded(preview.pixels, side), name=preview.image.name, marks=tuple(marks))
