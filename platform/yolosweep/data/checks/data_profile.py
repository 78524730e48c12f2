"""What a starter experiment is chosen by: the task that the labels fit, and how large images and boxes are."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from yolosweep.data.checks.class_balance import shorter_sides
from yolosweep.data.checks.dataset_checks import Gate
from yolosweep.data.foreign.any_format import foreign_layout, read_dataset
from yolosweep.data.model.dataset_items import Layout
from yolosweep.data.source.data_location import local_path
from yolosweep.records import DataProfile
from yolosweep.storage.addresses import is_address

__all__ = ["guess_task", "profile_of"]

_SMALL = 0.1
"""Quantile of the box sizes that the image size is chosen by."""
_FILES, _BYTES = 200, 65_536
"""Label files looked at, and how much of each."""
_BOX, _CORNERS, _POLYGON = 5, 9, 7
"""Values of a line: class and box, class and four corners, class and at least three points."""


def guess_task(source: str) -> str:
    """Return the task that a data set is labelled for; ``detect`` where nothing speaks for another.

    Args:
        source: as for :func:`yolosweep.data.checks.dataset_checks.examine`.

    Raises:
        DataError: it cannot be read as a dataset.
    """
    if source.startswith("sample:") or is_address(source):
        return "detect"
    place = Path(source)
    if place.is_dir() and not [*place.glob("*.yaml"), *place.glob("*.yml")]:
        return "classify" if foreign_layout(place, "detect") is None else "detect"
    if not place.suffix.lower().endswith((".yaml", ".yml")) and not place.is_dir():
        return "detect"  # an archive is unpacked once, by the checks
    layout = read_dataset(local_path(source, None), "detect")
    if layout.extra.get("kpt_shape"):
        return "pose"
    lengths = _line_lengths(layout)
    if not lengths or _BOX in lengths:
        return "detect"
    return "obb" if lengths == {_CORNERS} else "segment" if min(lengths) >= _POLYGON else "detect"


def profile_of(gate: Gate) -> DataProfile:
    """Return how many and how large the images of train are, and how small its smaller boxes."""
    items = gate.layout.splits["train"]
    facts = [found for item in items if (found := gate.image_facts.get(item.image)) is not None and found.width]
    sides = np.fromiter(shorter_sides(items, gate.image_facts, gate.labels), dtype=np.float64)
    return DataProfile(
        train_images=gate.dataset.images["train"],
        longer_side=round(statistics.median(max(one.width, one.height) for one in facts)) if facts else None,
        small_box=float(np.quantile(sides, _SMALL)) if len(sides) else None,
    )


def _line_lengths(layout: Layout) -> set[int]:
    """Return the numbers of values in the lines of some label files."""
    found: set[int] = set()
    for item in layout.splits["train"][:_FILES]:
        if item.label is not None and item.label.is_file():
            with item.label.open("rb") as stream:
                *lines, _ = (stream.read(_BYTES) + b"\n").split(b"\n")
            found |= {len(line.split()) for line in lines if line.strip()}
    return found
