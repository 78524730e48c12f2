"""Figures of a data set: class frequencies and box sizes, as plain values and SVG."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from yolosweep.report.contact_sheets import colour

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["BoxSize", "ClassRow", "Count", "SizeShares", "class_rows", "size_histogram", "size_scatter", "size_shares"]

TINY = 8
"""Pixels: smaller than one cell of the finest prediction grid of YOLO heads (stride 8)."""
SMALL, MEDIUM = 32, 96
"""Pixels: COCO's limits of small and medium objects, as the square root of the area."""
_STEP = 0.5
_LEAST, _MOST = 1e-6, 1e9
"""Pixels: box sizes outside these limits are ignored."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _FOOT = 360, 200, 34, 18, 40


class Count(NamedTuple):
    """How often a class occurs in a split."""

    instances: int
    images: int


class BoxSize(NamedTuple):
    """The size of one box at the original size of its image."""

    category: int
    width: float
    """Pixels."""
    height: float
    """Pixels."""
    side: float
    """The longer side of the image in pixels; training resizes it to ``imgsz``."""

    def at(self, imgsz: int) -> tuple[float, float]:
        """Return width and height in pixels after the image is resized to ``imgsz``."""
        return self.width * imgsz / self.side, self.height * imgsz / self.side


class Bar(NamedTuple):
    """One class in one split."""

    split: str
    occurs: Count
    share: float
    """Relative to the most frequent class of the split, 0 to 1."""


@dataclass(frozen=True)
class ClassRow:
    """One class in all splits."""

    category: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class SizeShares:
    """Shares of the boxes per size class at one image size, 0 to 1, by the square root of the area."""

    imgsz: int
    tiny: float
    small: float
    medium: float
    large: float


def class_rows(counts: Mapping[str, Mapping[int, Count]], classes: Sequence[int]) -> list[ClassRow]:
    """Return a row per class with a bar per split, sorted by frequency in the first split."""
    none = Count(0, 0)
    most = {split: max((count.instances for count in by.values()), default=0) or 1 for split, by in counts.items()}
    rows = [
        ClassRow(
            category,
            tuple(
                Bar(split, by.get(category, none), by.get(category, none).instances / most[split])
                for split, by in counts.items()
            ),
        )
        for category in classes
    ]
    return sorted(rows, key=lambda row: [-bar.occurs.instances for bar in row.bars])


def _usable(boxes: Sequence[BoxSize]) -> list[BoxSize]:
    return [box for box in boxes if all(_LEAST < value < _MOST for value in box[1:])]


def _roots(boxes: Sequence[BoxSize], imgsz: int) -> list[float]:
    return [math.sqrt(math.prod(box.at(imgsz))) for box in _usable(boxes)]


def size_shares(boxes: Sequence[BoxSize], imgsz: int) -> SizeShares:
    """Return the size classes of the boxes after resizing to ``imgsz``; all 0 without boxes."""
    roots = _roots(boxes, imgsz)
    limits = (0, TINY, SMALL, MEDIUM, math.inf)
    shares = [sum(low <= root < high for root in roots) / (len(roots) or 1) for low, high in itertools.pairwise(limits)]
    return SizeShares(imgsz, *shares)


def size_histogram(boxes: Sequence[BoxSize], imgsz: int) -> Markup:
    """Return an SVG histogram of box sizes at ``imgsz``: square root of the area, in half octaves."""
    top = math.ceil(math.log2(max(imgsz, 2)))
    bins = [0] * int(top / _STEP)
    for root in _roots(boxes, imgsz):
        bins[min(max(int(math.log2(max(root, 1)) / _STEP), 0), len(bins) - 1)] += 1
    most, plot = max(bins) or 1, _HEIGHT - _FOOT - 12
    wide = (_WIDTH - _LEFT - _RIGHT) / len(bins)
    bars = [
        (_LEFT + index * wide, 12 + plot * (1 - count / most), wide, plot * count / most, _bin(index, count))
        for index, count in enumerate(bins)
        if count
    ]
    parts = [
        _format('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>', bar)
        for bar in bars
    ]
    floor = _HEIGHT - _FOOT
    parts.append(_format('<text x="{}" y="20" class="end">{}</text>', (_LEFT - 5, most)))
    parts.append(_format('<text x="{}" y="{}" class="end">0</text>', (_LEFT - 5, floor)))
    return _svg([*parts, *_columns(top, floor), *_limits(top, floor)], f"Box sizes at imgsz {imgsz}", _HEIGHT)


def size_scatter(boxes: Sequence[BoxSize], imgsz: int) -> Markup:
    """Return an SVG scatter plot of box height over width at ``imgsz``, log axes, coloured by class."""
    top, side = math.ceil(math.log2(max(imgsz, 2))), _WIDTH - _LEFT - _RIGHT
    points: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for box in _usable(boxes):
        width, height = (min(max(math.log2(value), 0), top) / top for value in box.at(imgsz))
        points[colour(box.category)].add((round(_LEFT + side * width), round(12 + side * (1 - height))))
    floor = 12 + side
    parts = [
        _format('<path class="dots" stroke="{}" d="{}"/>', (paint, "".join(f"M{x} {y}h0" for x, y in sorted(places))))
        for paint, places in points.items()
    ]
    rows = [
        _format('<text x="{}" y="{:.1f}" class="end">{}</text>', (_LEFT - 5, floor - side * power / top + 4, 2**power))
        for power in range(0, top + 1, 2)
    ]
    cell = [(_LEFT + side * math.log2(TINY) / top, floor), (_LEFT, floor - side * math.log2(TINY) / top)]
    square = _format('<path class="limit" d="M{0:.1f} {1}V{3:.1f}H{2}"/>', (*cell[0], *cell[1]))
    return _svg([square, *rows, *_columns(top, floor), *parts], f"Box width and height at imgsz {imgsz}", floor + _FOOT)


def _bin(index: int, count: int) -> str:
    return f"{2 ** (index * _STEP):.0f} to {2 ** ((index + 1) * _STEP):.0f} px: {count}"


def _columns(top: int, floor: int) -> list[Markup]:
    """Return the x axis of a figure, from 1 to 2**top pixels."""
    side = _WIDTH - _LEFT - _RIGHT
    line = _format('<path class="axis" d="M{} {}h{}"/>', (_LEFT, floor, side))
    marks = [
        _format('<text x="{:.1f}" y="{}" class="mid">{}</text>', (_LEFT + side * power / top, floor + 15, 2**power))
        for power in range(0, top + 1, 2 if top > 7 else 1)
    ]
    return [line, *marks, _format('<text x="{}" y="{}" class="end">pixels</text>', (_LEFT + side, floor + 32))]


def _limits(top: int, floor: int) -> list[Markup]:
    side = _WIDTH - _LEFT - _RIGHT
    return [
        _format('<path class="limit" d="M{:.1f} 12V{}"/>', (_LEFT + side * math.log2(limit) / top, floor))
        for limit in (TINY, SMALL, MEDIUM)
        if limit < 2**top
    ]


def _format(text: str, values: Sequence[object]) -> Markup:
    from markupsafe import Markup

    return Markup(text).format(*values)


def _svg(parts: Sequence[Markup], label: str, height: int) -> Markup:
    from markupsafe import Markup

    return Markup('<svg class="figure" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, label, Markup("").join(parts)
    )
