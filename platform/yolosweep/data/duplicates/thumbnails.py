"""Visual similarity: a tiny gray thumbnail per image, to find the few pairs of pictures that are worth comparing.

An image's *signature* is its thumbnail as text; :mod:`thumbnail_features` compares them in bulk.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

__all__ = ["DEVIATION", "FLAT", "GRAY", "SIDE", "decode_signatures", "pixels_of", "signature_of"]

Array = np.ndarray[Any, Any]

SIDE = 24
"""Side of the thumbnail in pixels; every image is resized to this square."""

FLAT = "flat"
"""Signature of a single-color image, which has nothing to compare."""

GRAY, DEVIATION = 128, 32
"""A thumbnail's stored mean and standard deviation; four deviations fit on either side."""

_FLAT_SHARE = 0.004
"""An image is flat if its thumbnail deviates less than this share of its range (one gray level of 256)."""

_BORDER_SIDE, _BORDER_RANGE, _LEAST_INSIDE = 96, 0.02, 0.4
"""A border is sought at about this side in pixels; its range of levels; the least share of a side that is inside."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def signature_of(image: Image.Image) -> str:
    """Return an image's signature: base64 of its upright, contrast-normalized gray thumbnail, 768 characters.

    A border of one color is left out, so a letterboxed copy has the signature of its original.

    The image may be a reduced decode (``Image.draft``) and is loaded if necessary.

    Returns:
        :data:`FLAT` for a single-color image.

    Raises:
        OSError: The image cannot be decoded.
    """
    deep = image.mode[0] in "IF"
    grey = image.convert("I").convert("F") if deep else image.convert("L")
    small: Image.Image = grey.resize((SIDE, SIDE), Image.Resampling.BOX, box=_without_border(grey))
    # Box averaging and rotation commute, and rotating the thumbnail is free.
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    values = np.asarray(small if turn is None else small.transpose(turn), dtype=np.float64)
    deviation = float(values.std())
    whole = float(np.abs(values).max()) if deep else 256.0
    if not np.isfinite(deviation) or deviation <= _FLAT_SHARE * whole:
        return FLAT
    levels = np.rint((values - values.mean()) / deviation * DEVIATION + GRAY)
    return base64.b64encode(np.clip(levels, 0, 255).astype(np.uint8).tobytes()).decode()


def _without_border(grey: Image.Image) -> tuple[int, int, int, int]:
    """Return the box inside a border of one color, such as that of a letterbox; the whole image if it has none."""
    factor = max(1, min(grey.size) // _BORDER_SIDE)
    values = np.asarray(grey.reduce(factor) if factor > 1 and grey.mode == "L" else grey, dtype=np.float64)
    factor = factor if grey.mode == "L" else 1
    tolerance = _BORDER_RANGE * max(float(np.abs(values).max()), 1.0)
    cuts = []
    for lines in (values, values.T):
        plain = (np.ptp(lines, axis=1) <= tolerance) & np.isfinite(lines).all(axis=1)
        for line in (0, -1):
            like = plain & (np.abs(lines.mean(axis=1) - lines[line].mean()) <= tolerance)
            inner = np.flatnonzero(~(like if line == 0 else like[::-1]))
            cuts.append(int(inner[0]) if len(inner) else len(lines))
    top, bottom, left, right = (cut * factor for cut in cuts)
    width, height = grey.size
    if width - left - right < _LEAST_INSIDE * width or height - top - bottom < _LEAST_INSIDE * height:
        return (0, 0, width, height)
    return (left, top, width - right, height - bottom)


def pixels_of(path: Path) -> str:
    """Return the SHA-256 of an image's decoded, upright pixels; empty if it cannot be decoded."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            whole = upright if image.mode[0] in "IF" or "A" in image.mode else upright.convert("RGB")
            head = f"{whole.mode} {whole.size}".encode()
            return hashlib.sha256(head + whole.tobytes()).hexdigest()
    # ImportError: once imported, Ultralytics makes Pillow search a HEIF plugin for every unknown format.
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        return ""


def decode_signatures(signatures: Sequence[str]) -> Array:
    """Return thumbnails, shape (n, SIDE, SIDE), uint8.

    Raises:
        ValueError: A signature is flat, or does not come from :func:`signature_of`.
    """
    thumbnails = np.empty((len(signatures), SIDE, SIDE), dtype=np.uint8)
    for row, signature in enumerate(signatures):
        thumbnails[row] = np.frombuffer(base64.b64decode(signature), dtype=np.uint8).reshape(SIDE, SIDE)
    return thumbnails
