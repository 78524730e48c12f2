"""Pictures of a checkpoint's mistakes: the labels of an image beside what was predicted."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yolosweep.diagnosis.mistakes import Examined, MistakeKind
from yolosweep.records.image_predictions import Shape
from yolosweep.report.contact_sheets import shortened, upright, visible

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["COLOURS", "RIGHT", "Picture", "affordable_pictures", "draw"]

COLOURS = {
    MistakeKind.MISSED: "#ffb000",
    MistakeKind.FALSE_POSITIVE: "#ff5fa8",
    MistakeKind.WRONG_CLASS: "#fe6100",
    MistakeKind.POOR_FIT: "#a990ff",
}
"""After IBM's palette, which can be told apart with any kind of color vision; lighter, because texts are on black."""
RIGHT = "#5ba3ff"

_PANEL = 316
_GAP = 8
_HIGHEST = 400
"""Pixels: two panels and the gap are 640 wide."""
_MOST_SHAPES = 120
_QUALITY = 80


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One drawn image."""

    name: str
    """File name."""
    examined: Examined
    jpeg: bytes


class _Drawn(NamedTuple):
    """One shape as it is drawn."""

    shape: Shape
    colour: str
    text: str
    """Empty: a shape that is right."""


def affordable_pictures(images: Iterable[Examined], *, most: int, budget: int) -> list[Picture]:
    """Draw images in their order until there are ``most``, or one does not fit in ``budget`` bytes."""
    pictures: list[Picture] = []
    for one in images:
        jpeg = draw(one)
        budget -= len(jpeg)
        if len(pictures) == most or budget < 0:
            break
        stem = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in _name(one).stem)[:60]
        name = f"{len(pictures) + 1:02d}-{one.split}-{stem}.jpg"
        pictures.append(Picture(name=name, examined=one, jpeg=jpeg))
    return pictures


def _name(one: Examined) -> Path:
    return Path(one.answer.image)


def draw(one: Examined) -> bytes:
    """Return a JPEG at most 640 pixels wide: labels on the left, predictions on the right.

    A file that is unreadable is drawn as a gray panel; no error is raised for it.
    """
    from PIL import Image

    ground = _ground(_name(one))
    panels = []
    for shapes in (list(_labels(one)), list(_predictions(one))):
        panel = ground.copy()
        _draw_all(panel, shapes)
        panels.append(panel)
    both = Image.new("RGB", (2 * ground.width + _GAP, ground.height), "#7f8894")
    both.paste(panels[0], (0, 0))
    both.paste(panels[1], (ground.width + _GAP, 0))
    out = io.BytesIO()
    both.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def _ground(path: Path) -> Image:
    """Return the image in the size of a panel."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged EXIF, and about sizes, which are limited there
            image = upright(path, 2 * _PANEL)
    except Exception:  # decoders raise almost anything on damaged files
        return Image.new("RGB", (_PANEL, _PANEL * 3 // 4), "#8a95a5")
    scale = min(_PANEL / image.width, _HIGHEST / image.height)
    size = max(round(image.width * scale), 24), max(round(image.height * scale), 24)
    return image.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)


def _labels(one: Examined) -> Iterator[_Drawn]:
    """Yield the labels; what is wrong comes last, so that it is on top."""
    for at, _ in one.right:
        yield _Drawn(one.answer.labels[at], RIGHT, "")
    for mistake in one.mistakes:
        if mistake.label is not None:
            shape = one.answer.labels[mistake.label]
            prefix = "missed " if mistake.kind is MistakeKind.MISSED else ""
            yield _Drawn(shape, COLOURS[mistake.kind], prefix + shape.name)


def _predictions(one: Examined) -> Iterator[_Drawn]:
    for _, at in one.right:
        yield _Drawn(one.answer.predictions[at], RIGHT, "")
    for mistake in one.mistakes:
        if mistake.prediction is not None:
            shape = one.answer.predictions[mistake.prediction]
            confidence = "" if shape.confidence is None else f" {shape.confidence:.2f}"
            yield _Drawn(shape, COLOURS[mistake.kind], shape.name + confidence)


def _draw_all(panel: Image, drawn: Sequence[_Drawn]) -> None:
    from PIL import ImageDraw, ImageFont

    brush, font = ImageDraw.Draw(panel), ImageFont.load_default(12)
    for shape in drawn[-_MOST_SHAPES:]:
        _draw_shape(brush, panel.size, shape)
    for shape in drawn[-_MOST_SHAPES:]:  # texts are above all lines
        if shape.text or shape.shape.box is None:
            _write(brush, panel.size, shape, font)


def _draw_shape(brush: ImageDraw, size: tuple[int, int], drawn: _Drawn) -> None:
    shape, width = drawn.shape, 3 if drawn.text else 2
    left, top, right, bottom = shape.box or (0.0, 0.0, 1.0, 1.0)
    corners = shape.outline or ((left, top), (right, top), (right, bottom), (left, bottom))
    points = [(x * (size[0] - 1), y * (size[1] - 1)) for x, y in (*corners, corners[0])]
    brush.line(points, fill="black", width=width + 2, joint="curve")
    brush.line(points, fill=drawn.colour, width=width, joint="curve")
    for x, y in shape.keypoints:
        at = x * (size[0] - 1), y * (size[1] - 1)
        brush.ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), fill=drawn.colour, outline="black")


def _write(brush: ImageDraw, size: tuple[int, int], drawn: _Drawn, font: ImageFont | FreeTypeFont) -> None:
    """Write the text of a shape beside its top edge, inside of the picture."""
    shape = drawn.shape
    text = str(visible(shortened(drawn.text or _answer(shape), 40)))
    left, top, right, bottom = brush.textbbox((0, 0), text, font=font)
    wide, high = right - left + 6, bottom - top + 5
    x, y = (shape.box[0] * size[0], shape.box[1] * size[1] - high) if shape.box else (4.0, 4.0)
    x, y = min(max(x, 0), max(size[0] - wide, 0)), min(max(y, 0), max(size[1] - high, 0))
    brush.rectangle((x, y, x + wide, y + high), fill="black")
    brush.text((x + 3 - left, y + 2 - top), text, fill=drawn.colour, font=font)


def _answer(shape: Shape) -> str:
    return shape.name if shape.confidence is None else f"{shape.name} {shape.confidence:.2f}"
