"""Contact sheets: thumbnails with their labels drawn over them, ready to embed in a self-contained page."""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from yolosweep.report.ending_styles import STYLES

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from PIL.Image import Image

__all__ = [
    "PALETTE",
    "Mark",
    "Tile",
    "affordable",
    "colour",
    "described",
    "encoded",
    "environment",
    "overlay",
    "thumbnail",
    "upright",
]

PALETTE = (
    "#2f7fd6", "#d2690c", "#2a9d4e", "#e0484d", "#9a67d6", "#1693a5", "#d6529c", "#a9713f", "#858a1c", "#7a8594",
    "#6572e0", "#c0562f",
)  # fmt: skip
"""One per class, repeating after the last; each contrasts with white and with the dark card."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "MPO", "JPEG2000", "AVIF", "GIF", "DIB")
"""Safe decoders: others of Pillow start programs (EPS) or read further files."""
_MAX_PIXELS = 200_000_000
_MAX_MARKS = 80
_MAX_POINTS = 48
_QUALITY = 68
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

T = TypeVar("T")


class Mark(NamedTuple):
    """One label on a picture."""

    category: int
    box: tuple[float, float, float, float]
    """Center x, center y, width, height, as shares of the upright picture."""
    points: tuple[float, ...] = ()
    """x, y, x, y… of a polygon or an oriented box, as shares, drawn instead of the box; else empty."""
    machine: bool = False
    """Drawn dashed: it was predicted by a model."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One small picture of a contact sheet."""

    jpeg: bytes
    """As returned by :func:`thumbnail` or :func:`encoded`."""
    name: str
    """File name, for people."""
    split: str = ""
    marks: tuple[Mark, ...] = ()
    words: str = ""
    """Description of the marks; empty: the number of labels per class."""

    @property
    def weight(self) -> int:
        """Approximate number of bytes it takes in a page."""
        drawn = sum(150 + 9 * min(len(mark.points) // 2, _MAX_POINTS) for mark in self.marks[:_MAX_MARKS])
        return len(self.jpeg) * 4 // 3 + drawn + 600


def thumbnail(path: Path, side: int = 160) -> bytes:
    """Return a picture as a small upright JPEG (RGB, longer side at most ``side`` pixels).

    A file that is unreadable or larger than 200 million pixels gives a placeholder; no error is raised.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged EXIF, and about sizes, which are limited here
            return _jpeg(upright(path, side), side)
    except Exception:  # decoders raise almost anything on damaged files
        return _placeholder(side)


def encoded(pixels: Any, side: int = 160) -> bytes:
    """Return an array (height x width x 3, uint8, RGB) as a small JPEG."""
    from PIL import Image

    return _jpeg(Image.fromarray(pixels), side)


def upright(path: Path, side: int) -> Image:
    """Return a picture as it is meant to be seen, RGB, decoded for a longer side of ``side`` pixels or more.

    Raises:
        Exception: decoders raise almost anything on damaged files.
    """
    from PIL import Image, ImageOps

    if not path.is_file():
        raise FileNotFoundError(path)
    Image.init()
    with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError("too many pixels")
        image.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded at a fraction of its size
        turned: Image.Image = ImageOps.exif_transpose(image)
        if turned.mode.startswith(("I", "F")):
            low, high = _bounds(turned.getextrema())
            scale = 255 / ((high - low) or 1)
            turned = turned.convert("F").point(lambda value: value * scale - low * scale)
        if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
            turned = turned.convert("RGBA")
            paper = Image.new("RGBA", turned.size, "white")
            turned = Image.alpha_composite(paper, turned)
        return turned.convert("L" if turned.mode == "F" else "RGB").convert("RGB")


def _bounds(extremes: Any) -> tuple[float, float]:
    low, high = extremes
    return float(low), float(high)


def _jpeg(image: Image, side: int) -> bytes:
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def _placeholder(side: int) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (side, side * 3 // 4), "#8a95a5")
    draw = ImageDraw.Draw(image)
    draw.line((0, 0, *image.size), fill="#b3bcc8", width=2)
    draw.line((0, image.height, image.width, 0), fill="#b3bcc8", width=2)
    return _jpeg(image, side)


def affordable(groups: Mapping[T, Sequence[Tile]], budget: int) -> dict[T, tuple[Tile, ...]]:
    """Return the first tiles of every group, evenly, within a budget of bytes; groups keep their order."""
    taken: dict[T, list[Tile]] = {group: [] for group in groups}
    for index in range(max(map(len, groups.values()), default=0)):
        for group, tiles in groups.items():
            if index < len(tiles):
                budget -= tiles[index].weight
                if budget < 0:
                    return {group: tuple(tiles) for group, tiles in taken.items()}
                taken[group].append(tiles[index])
    return {group: tuple(tiles) for group, tiles in taken.items()}


def colour(category: int) -> str:
    """Return the colour of a class."""
    return PALETTE[category % len(PALETTE)]


def overlay(marks: Iterable[Mark], names: Mapping[int, str], bold: int | None = None) -> Markup:
    """Return marks as an SVG overlay of the picture; stroke widths do not scale.

    Args:
        marks: at most 80 are drawn, those of class ``bold`` first; marks that are not finite are skipped.
        names: names of the classes, shown as tooltips.
        bold: the class to highlight, if any.
    """
    from markupsafe import Markup

    chosen = sorted((mark for mark in marks if _finite(mark)), key=lambda mark: mark.category != bold)[:_MAX_MARKS]
    shapes = Markup("").join(_shape(mark, names, bold) for mark in reversed(chosen))
    return Markup('<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(shapes)


def _finite(mark: Mark) -> bool:
    return all(map(math.isfinite, (*mark.box, *mark.points)))


def _shape(mark: Mark, names: Mapping[int, str], bold: int | None) -> Markup:
    from markupsafe import Markup

    styles = ("b" if mark.category == bold else "", "d" if mark.machine else "")
    style = Markup(' class="{}"').format(" ".join(filter(None, styles))) if any(styles) else ""
    name = visible(named(mark.category, names, 40))
    if mark.points:
        step = -(-len(mark.points) // 2 // _MAX_POINTS) or 1
        pairs = list(zip(mark.points[::2], mark.points[1::2], strict=False))[::step]
        where = Markup('polygon points="{}"').format(" ".join(f"{_mille(x)},{_mille(y)}" for x, y in pairs))
    else:
        x, y, width, height = mark.box
        left, top, right, bottom = (_mille(v) for v in (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        size = max(right - left, 0), max(bottom - top, 0)
        where = Markup('rect x="{}" y="{}" width="{}" height="{}"').format(left, top, *size)
    return Markup('<{}{} stroke="{}"><title>{}</title></{}>').format(
        where, style, colour(mark.category), name, where.split(" ", 1)[0]
    )


def _mille(share: float) -> int:
    return round(1000 * min(max(share, -0.5), 1.5))


def named(category: int, names: Mapping[int, str], length: int = 120) -> str:
    """Return the name of a class, shortened in the middle."""
    return shortened(names.get(category, f"class {category}"), length)


def shortened(text: str, length: int = 120) -> str:
    """Shorten a text in the middle if it is longer than ``length`` characters."""
    return text if len(text) <= length else f"{text[: length * 2 // 3]}…{text[-(length // 3) + 1 :]}"


def described(tile: Tile, names: Mapping[int, str]) -> str:
    """Describe the marks of a tile, e.g. ``3 RBC, 1 WBC``; further classes than four are only counted."""
    if tile.words:
        return tile.words
    counts = Counter(mark.category for mark in tile.marks).most_common()
    parts = [f"{count} {named(category, names, 40)}" for category, count in counts[:4]]
    return ", ".join(parts + ([f"{len(counts) - 4} more classes"] if len(counts) > 4 else [])) or "no labels"


def visible(value: Any) -> Any:
    """Escape invisible and text-direction characters in a text; return other values unchanged."""
    if type(value) is not str:  # our own markup is a subclass
        return value
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


def environment() -> Environment:
    """Return the template environment; each value passes :func:`visible`, then HTML escaping."""
    from jinja2 import Environment, PackageLoader

    made = Environment(
        loader=PackageLoader("yolosweep.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    made.filters.update(
        base64=lambda content: base64.b64encode(content).decode(), colour=colour, overlay=overlay, short=shortened
    )
    made.globals.update(described=described, named=named, endings=STYLES)
    return made
