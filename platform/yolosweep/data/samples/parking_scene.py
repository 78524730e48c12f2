"""Draws a scene of the parking sample: a lot from above, with exactly known boxes.

Kept as code: packaged photos would need downloads or megabytes, and shorter code would change the drawn images, on
which the expected scores of the quickstart depend.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

__all__ = ["NAMES", "Box", "scene"]

NAMES = {0: "red_car", 1: "car"}
"""Class number to name, as in the drawn ``data.yaml``."""

_SHARP = 3
"""Supersampling factor: smooth edges, and boxes exact to a third of a pixel."""

_BAY_LENGTH, _BAY_WIDTH, _LANE = 5.0, 2.5, 6.2
_MODULE = 2 * _BAY_LENGTH + _LANE
"""Meters: two rows of bays that face each other across a lane."""

_RED = ((186, 24, 28), (212, 34, 30), (158, 16, 26), (226, 52, 40))
_OTHER = ((34, 36, 40), (62, 66, 72), (24, 58, 122), (70, 108, 160), (30, 82, 60), (168, 172, 176), (222, 224, 224))

_CIRCLE = tuple((float(np.cos(t)), float(np.sin(t))) for t in np.linspace(0, 2 * np.pi, 20, endpoint=False))

_BLURRED = 4
"""A blur reaches less than so many of its radii."""

_LEAST_SEEN = 0.4
"""Minimum share of a car's box within the image; cars with less are not drawn, so no label is missing."""

_Point = tuple[float, float]
_Edges = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class Box(NamedTuple):
    """One drawn car: its class, and the tightest upright box around its visible part, in pixels."""

    label: int
    left: float
    top: float
    right: float
    bottom: float


class _Car(NamedTuple):
    """One parked car, in meters and radians; ``angle`` 0 points along x."""

    x: float
    y: float
    angle: float
    length: float
    width: float
    colour: tuple[int, int, int]
    red: bool

    def place(self, outline: tuple[_Point, ...]) -> list[_Point]:
        """Convert points relative to half the length and width to meters in the lot."""
        cos, sin = float(np.cos(self.angle)), float(np.sin(self.angle))
        sides = [(u * self.length / 2, v * self.width / 2) for u, v in outline]
        return [(self.x + a * cos - b * sin, self.y + a * sin + b * cos) for a, b in sides]


_BODY = (
    (1.0, -0.5), (1.0, 0.5), (0.95, 0.84), (0.82, 0.97), (0.5, 1.0), (-0.6, 1.0), (-0.86, 0.96), (-0.97, 0.8),
    (-1.0, 0.5), (-1.0, -0.5), (-0.97, -0.8), (-0.86, -0.96), (-0.6, -1.0), (0.5, -1.0), (0.82, -0.97), (0.95, -0.84),
)  # fmt: skip
_GLASS = ((0.46, -0.8), (0.5, 0.0), (0.46, 0.8), (0.2, 0.74), (-0.45, 0.74), (-0.74, 0.76), (-0.74, -0.76),
          (-0.45, -0.74), (0.2, -0.74))  # fmt: skip
_ROOF = ((0.16, -0.64), (0.18, 0.0), (0.16, 0.64), (-0.46, 0.64), (-0.5, 0.0), (-0.46, -0.64))
_BONNET = ((0.9, -0.42), (0.92, 0.0), (0.9, 0.42), (0.56, 0.5), (0.6, 0.0), (0.56, -0.5))
_LAMP = ((0.99, 0.48), (0.93, 0.82), (0.88, 0.7), (0.93, 0.45))


class _Lot:
    """A canvas measured in meters."""

    def __init__(self, size: int, meters: float) -> None:
        self.pixels = size * _SHARP
        self.meters = meters
        self.scale = self.pixels / meters
        self.cover(Image.new("RGB", (self.pixels, self.pixels)))

    def cover(self, image: Image.Image) -> None:
        """Replace everything by an image."""
        self.image, self._pen = image, ImageDraw.Draw(image, "RGBA")

    def polygon(self, points: list[_Point], colour: tuple[int, int, int], opacity: float = 1.0) -> None:
        """Fill a polygon."""
        on = [(x * self.scale, y * self.scale) for x, y in points]
        self._pen.polygon(on, fill=(*colour, round(255 * opacity)))

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int], opacity: float = 1.0
    ) -> None:
        """Fill an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, opacity)

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, int, int], opacity: float = 1.0) -> None:
        """Fill a circle."""
        self.polygon([(x + radius * cos, y + radius * sin) for cos, sin in _CIRCLE], colour, opacity)

    def shade(self, shapes: list[list[_Point]], light: float, blur_m: float) -> None:
        """Darken everything under the shapes to ``light`` (0 to 1), with a soft edge."""
        on = [[(x * self.scale, y * self.scale) for x, y in points] for points in shapes]
        left, top, right, bottom = _extent([point for points in on for point in points] or [(0.0, 0.0)])
        margin = _BLURRED * blur_m * self.scale + 2  # all that the shapes can reach: blurring the rest takes longest
        left, top = (max(0, int(edge - margin)) for edge in (left, top))
        right, bottom = (min(self.pixels, int(edge + margin) + 1) for edge in (right, bottom))
        if left >= right or top >= bottom:
            return
        mask = Image.new("L", (right - left, bottom - top), 255)
        draw = ImageDraw.Draw(mask)
        for points in on:
            draw.polygon([(x - left, y - top) for x, y in points], fill=round(255 * light))
        mask = mask.filter(ImageFilter.GaussianBlur(blur_m * self.scale))
        lit = self.image.crop((left, top, right, bottom))
        self.image.paste(ImageChops.multiply(lit, Image.merge("RGB", (mask, mask, mask))), (left, top))


def _clouds(rng: np.random.Generator, pixels: int, cells: int) -> np.ndarray:
    """Return smooth noise between -1 and 1, shape (pixels, pixels), with about ``cells`` blobs along each side."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((pixels, pixels), Image.Resampling.BICUBIC))


def _asphalt(rng: np.random.Generator, lot: _Lot) -> None:
    """Fill the canvas with worn asphalt: large stains, small stains, grain, oil."""
    n = lot.pixels
    grey = rng.uniform(74, 118) + 9 * _clouds(rng, n, 4) + 6 * _clouds(rng, n, 14) + rng.normal(0, 7, (n, n))
    tint = rng.uniform(-4, 4, 3)
    lot.cover(Image.fromarray(np.clip(grey[..., None] + tint, 0, 255).astype(np.uint8)))
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, lot.meters, 2)
        lot.disc(x, y, rng.uniform(0.15, 0.6), (40, 40, 42), rng.uniform(0.15, 0.4))
    for _ in range(int(rng.integers(0, 3))):
        x, y, w, h = *rng.uniform(0, lot.meters, 2), *rng.uniform(0.5, 3, 2)
        lot.rectangle(x, y, x + w, y + h, (58, 58, 60), rng.uniform(0.2, 0.5))


def _rows(rng: np.random.Generator, lot: _Lot) -> tuple[list[tuple[float, float]], list[float]]:
    """Return the centers of the bays and the center lines (y) of the lanes, in meters; some are beyond the edge."""
    start, shift = rng.uniform(-_MODULE, 0), rng.uniform(-_BAY_WIDTH, 0)
    columns = [shift + _BAY_WIDTH * (i + 0.5) for i in range(int(lot.meters / _BAY_WIDTH) + 2)]
    tops = [start + _MODULE * i for i in range(3)]
    rows = [y for top in tops for y in (top + _BAY_LENGTH / 2, top + _MODULE - _BAY_LENGTH / 2)]
    return [(x, y) for y in rows for x in columns], [top + _MODULE / 2 for top in tops]


def _paint(rng: np.random.Generator, lot: _Lot, bays: list[tuple[float, float]], lanes: list[float]) -> None:
    """Draw worn bay markings and lane arrows."""
    paint = (226, 206, 120) if rng.random() < 0.2 else (228, 228, 222)
    worn = rng.uniform(0.45, 0.95)
    for x, y in bays:
        left, top = x - _BAY_WIDTH / 2, y - _BAY_LENGTH / 2
        lot.rectangle(left - 0.06, top, left + 0.06, top + _BAY_LENGTH, paint, worn * rng.uniform(0.7, 1))
    for y in lanes:
        for edge in (y + _LANE / 2 + _BAY_LENGTH, y - _LANE / 2 - _BAY_LENGTH):
            lot.rectangle(0, edge - 0.06, lot.meters, edge + 0.06, paint, worn)
        if rng.random() < 0.6:
            x, turn = rng.uniform(0, lot.meters), rng.choice([-1, 1])
            lot.rectangle(min(x, x - 1.4 * turn), y - 0.1, max(x, x - 1.4 * turn), y + 0.1, paint, worn)
            lot.polygon([(x, y - 0.4), (x + 0.9 * turn, y), (x, y + 0.4)], paint, worn)
        if rng.random() < 0.3:
            lot.disc(rng.uniform(0, lot.meters), y + rng.uniform(-1, 1), 0.35, (52, 50, 48), 0.9)


def _new_car(rng: np.random.Generator, x: float, y: float, angle: float) -> _Car:
    """Return a car of random size and color near a position; two in five are red."""
    red = bool(rng.random() < 0.4)
    palette = _RED if red else _OTHER
    shade = rng.normal(0, 5, 3) + rng.normal(0, 6)
    colour = np.clip(np.array(palette[rng.integers(len(palette))]) + shade, 8, 244).astype(int)
    return _Car(
        x=x + rng.uniform(-0.18, 0.18),
        y=y + rng.uniform(-0.15, 0.15),
        angle=angle + (np.pi if rng.random() < 0.5 else 0) + float(np.clip(rng.normal(0, 0.04), -0.07, 0.07)),
        length=rng.uniform(3.7, 4.6),
        width=rng.uniform(1.65, 1.85),
        colour=(int(colour[0]), int(colour[1]), int(colour[2])),
        red=red,
    )


def _cut(points: list[_Point], axis: int, edge: float, sign: int) -> list[_Point]:
    """Clip a convex polygon at an edge of the canvas (one step of Sutherland and Hodgman)."""
    kept: list[_Point] = []
    for start, end in zip(points, points[1:] + points[:1], strict=True):
        inside, leaves = sign * (edge - start[axis]) >= 0, sign * (edge - end[axis]) >= 0
        if inside:
            kept.append(start)
        if inside != leaves:
            share = (edge - start[axis]) / (end[axis] - start[axis])
            kept.append((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
    return kept


def _extent(points: list[_Point]) -> _Edges:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _visible(car: _Car, meters: float) -> _Edges | None:
    """Return the box of a car's visible part, in meters; None if too little is visible."""
    seen = body = car.place(_BODY)
    for axis, edge, sign in ((0, 0.0, -1), (0, meters, 1), (1, 0.0, -1), (1, meters, 1)):
        seen = _cut(seen, axis, edge, sign)
    if not seen:
        return None
    (left, top, right, bottom), whole = _extent(seen), _extent(body)
    share = (right - left) * (bottom - top) / ((whole[2] - whole[0]) * (whole[3] - whole[1]))
    return (left, top, right, bottom) if share >= _LEAST_SEEN else None


def _draw_car(lot: _Lot, car: _Car) -> None:
    """Draw one car: body, glass, roof, hood, lamps; nothing outside the body."""

    def shaded(factor: float) -> tuple[int, int, int]:
        r, g, b = (min(255, round(c * factor + 14 * (factor > 1))) for c in car.colour)
        return r, g, b

    lot.polygon(car.place(_BODY), shaded(0.82))
    lot.polygon([(x + (car.x - x) * 0.05, y + (car.y - y) * 0.05) for x, y in car.place(_BODY)], car.colour)
    lot.polygon(car.place(_GLASS), (30, 36, 44))
    lot.polygon(car.place(_ROOF), shaded(1.06))
    lot.polygon(car.place(_BONNET), shaded(1.1), 0.7)
    for side in (1, -1):
        lot.polygon(car.place(tuple((u, side * v) for u, v in _LAMP)), (236, 236, 214), 0.8)


def _tree(rng: np.random.Generator, lot: _Lot, x: float, y: float, sun: tuple[float, float]) -> None:
    """Draw a planted island with a tree on it, filling one bay."""
    lot.rectangle(x - 1.15, y - 2.3, x + 1.15, y + 2.3, (150, 148, 140))
    lot.rectangle(x - 1.0, y - 2.15, x + 1.0, y + 2.15, (84, 104, 56))
    radius = rng.uniform(0.85, 1.1)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    crown = [(x + radius * float(np.cos(t)), y + radius * float(np.sin(t))) for t in turn]
    lot.shade([[(a + 0.5 * sun[0], b + 0.5 * sun[1]) for a, b in crown]], 0.55, 0.12)
    lot.disc(x, y, radius, (40, 72, 34))
    for _ in range(18):
        dx, dy = rng.uniform(-0.7, 0.7, 2) * radius
        green = int(rng.integers(70, 125))
        lot.disc(x + dx, y + dy, rng.uniform(0.12, 0.3), (green // 2, green, green // 3), 0.8)


def _fill(
    rng: np.random.Generator, lot: _Lot, bays: list[tuple[float, float]], lanes: list[float], empty: bool
) -> list[tuple[_Car, _Edges]]:
    """Draw trees, shadows and cars; return each car with the box of its visible part."""
    angle = rng.uniform(0, 2 * np.pi)
    sun = (float(np.cos(angle)), float(np.sin(angle)))
    share, cars = rng.uniform(0.35, 0.85), []
    for x, y in bays:
        if rng.random() < 0.07:
            _tree(rng, lot, x, y, sun)
        elif rng.random() < share:
            cars.append(_new_car(rng, x, y, np.pi / 2))
    cars += [
        _new_car(rng, rng.uniform(0, lot.meters), y + rng.choice([-1.2, 1.2]), 0.0) for y in lanes if rng.random() < 0.4
    ]
    visible = [(car, seen) for car in cars if not empty and (seen := _visible(car, lot.meters))]
    reach = rng.uniform(0.15, 0.6)
    dropped = [[(x + reach * sun[0], y + reach * sun[1]) for x, y in car.place(_BODY)] for car, _ in visible]
    lot.shade(dropped, rng.uniform(0.35, 0.6), 0.08)
    for car, _ in visible:
        _draw_car(lot, car)
    return visible


def _overshadow(rng: np.random.Generator, lot: _Lot) -> None:
    """Cast a building's shadow over a corner of some lots."""
    if rng.random() < 0.3:
        far, a, b = 2 * lot.meters, *rng.uniform(0.1, 0.5, 2) * lot.meters
        corner = [(-far, -far), (far, -far), (far, b - far * 0.2), (a, b), (a - far * 0.2, far), (-far, far)]
        lot.shade([corner], rng.uniform(0.55, 0.75), 0.15)


def _photograph(rng: np.random.Generator, lot: _Lot, size: int) -> Image.Image:
    """Return the lot as a camera sees it: exposure, color temperature, a brightness gradient, noise."""
    pixels = np.asarray(lot.image.resize((size, size), Image.Resampling.BOX))
    along = np.linspace(-1, 1, size)
    slope = rng.uniform(-0.07, 0.07) * along[None, :] + rng.uniform(-0.07, 0.07) * along[:, None]
    warmth = rng.uniform(-0.05, 0.05)
    gain = rng.uniform(0.75, 1.15) * (1 + slope)[..., None] * np.array([1 + warmth, 1, 1 - warmth])
    noisy = pixels * gain + rng.normal(0, rng.uniform(1, 4), pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def scene(rng: np.random.Generator, size: int, *, empty: bool = False) -> tuple[Image.Image, list[Box]]:
    """Draw one square view of a parking lot, 11.5 to 14.5 meters wide.

    Args:
        rng: Determines everything; the same state draws the same scene.
        size: Side of the image, pixels. A car is about an eighth of it wide and a third of it long.
        empty: Draw the lot without cars.

    Returns:
        The RGB image and one box per drawn car, clipped to the image.
    """
    lot = _Lot(size, rng.uniform(11.5, 14.5))
    _asphalt(rng, lot)
    bays, lanes = _rows(rng, lot)
    _paint(rng, lot, bays, lanes)
    cars = _fill(rng, lot, bays, lanes, empty)
    _overshadow(rng, lot)
    image = _photograph(rng, lot, size)
    scale = size / lot.meters
    boxes = [Box(int(not car.red), *(min(max(scale * v, 0.0), float(size)) for v in seen)) for car, seen in cars]
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.TRANSPOSE)
        boxes = [Box(box.label, box.top, box.left, box.bottom, box.right) for box in boxes]
    return image, boxes
