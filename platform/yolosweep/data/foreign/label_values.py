"""Labels of other formats as values: normalized boxes, outlines and keypoints of images on this machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

__all__ = [
    *("MALFORMED", "Annotations", "NotConverted", "Shape"),
    *("boxed", "numbers", "outlined", "shifted", "turned"),
]

_One = TypeVar("_One")

MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading one untrusted object raises where it is not what its format says."""

_LEAST = 1e-6


class NotConverted(Exception):
    """An object is well-formed, but of a kind that YOLO labels cannot hold; its text names the kind."""


class Shape(NamedTuple):
    """One object."""

    label: str
    box: tuple[float, float, float, float]
    """Normalized center x, center y, width, height, within the image."""
    outline: tuple[float, ...] = ()
    """Normalized x, y of a polygon or of four corners; empty for an upright box."""
    keypoints: tuple[float, ...] = ()
    """Normalized x, y and visibility of each."""


@dataclass(kw_only=True)
class Annotations:
    """The labels of a data set, collected by a reader."""

    format: str
    """As people name it, e.g. ``COCO JSON``."""
    names: list[str] = field(default_factory=list)
    """Classes in the order of the format; classes that only occur in shapes follow."""
    images: dict[Path, tuple[Shape, ...]] = field(default_factory=dict)
    splits: dict[Path, str] = field(default_factory=dict)
    """Split of an image, where the format or a file name says so."""
    keypoints: Sequence[str] = ()
    """Names of the keypoints of an object."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What is not converted, and how often."""

    def add(self, image: Path, shapes: Iterable[Shape], split: str = "") -> None:
        """Add an image; shapes of an image that is known are added to it."""
        self.images[image] = (*self.images.get(image, ()), *shapes)
        if split:
            self.splits.setdefault(image, split)

    def shapes(self, objects: Iterable[_One], read: Callable[[_One], Shape | None]) -> list[Shape]:
        """Read the objects of an image, and learn their classes; count those that cannot be converted.

        Args:
            objects: in the words of the format.
            read: returns an object as a shape, or None if it is outside of the image; may raise ``NotConverted``, or
                what malformed objects raise.
        """
        found = []
        for one in objects:
            try:
                shape = read(one)
            except NotConverted as error:
                self.left_out[str(error)] += 1
            except MALFORMED:
                self.left_out["malformed objects"] += 1
            else:
                if shape is None:
                    self.left_out["objects outside of the image"] += 1
                else:
                    found.append(shape)
        self.name(*sorted({shape.label for shape in found}))
        return found

    def name(self, *names: str) -> None:
        """Add classes that are not known yet."""
        self.names += [name for name in dict.fromkeys(names) if name not in self.names]


def numbers(values: Iterable[Any]) -> list[float]:
    """Return finite numbers.

    Raises:
        ValueError, TypeError: one is not.
    """
    found = [float(value) for value in values]
    if not all(map(math.isfinite, found)):
        raise ValueError("not finite")
    return found


def boxed(label: Any, left: Any, top: Any, right: Any, bottom: Any, size: tuple[Any, Any], **more: Any) -> Shape | None:
    """Return an object by the edges of its box in units of ``size``; None if nothing of it is in the image.

    Raises:
        ValueError, TypeError: a value is not a finite number, or the size is not positive.
    """
    x1, x2, y1, y2, width, height = numbers((left, right, top, bottom, *size))
    if width <= 0 or height <= 0:
        raise ValueError("no size")
    x1, x2, y1, y2 = (min(max(value, 0.0), 1.0) for value in (x1 / width, x2 / width, y1 / height, y2 / height))
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x2 - x1 < _LEAST or y2 - y1 < _LEAST:
        return None
    return Shape(_label(label), ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), **more)


def outlined(label: Any, points: Iterable[Any], size: tuple[Any, Any]) -> Shape | None:
    """Return an object by its outline, flat x, y in units of ``size``; None if it has no area in the image.

    Raises:
        ValueError, TypeError: a value is not a finite number, or there are fewer than three points.
    """
    flat, (width, height) = numbers(points), numbers(size)
    if len(flat) < 6 or len(flat) % 2 or width <= 0 or height <= 0:
        raise ValueError("no outline")
    across, down = flat[0::2], flat[1::2]
    shares = (part for x, y in zip(across, down, strict=True) for part in (x / width, y / height))
    inside = tuple(min(max(share, 0.0), 1.0) for share in shares)
    return boxed(label, min(across), min(down), max(across), max(down), size, outline=inside)


def turned(
    label: Any, center: tuple[Any, Any], extent: tuple[Any, Any], radians: Any, size: tuple[Any, Any]
) -> Shape | None:
    """Return an object by a rotated box in units of ``size``, clockwise as images are drawn."""
    x, y, width, height, angle = numbers((*center, *extent, radians))
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2)]
    return outlined(label, [v for a, b in corners for v in (x + a * cos - b * sin, y + a * sin + b * cos)], size)


def shifted(keypoints: Iterable[Any], size: tuple[Any, Any]) -> tuple[float, ...]:
    """Return keypoints (x, y, visibility) normalized; those without visibility are at 0, 0 as in COCO."""
    flat, (width, height) = numbers(keypoints), numbers(size)
    points = zip(flat[0::3], flat[1::3], flat[2::3], strict=True)
    return tuple(v for x, y, seen in points for v in ((x / width, y / height, seen) if seen else (0.0, 0.0, 0.0)))


def _label(label: Any) -> str:
    if not isinstance(label, str) or not label.strip():
        raise ValueError("no class")
    return label.strip()
