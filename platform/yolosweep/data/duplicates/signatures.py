"""Visual similarity: a tiny gray thumbnail per image, to find the few pairs of pictures that are worth comparing.

An image's *signature* is its thumbnail as text. *Features*, a perceptual hash of real numbers, are computed from it in
bulk, to search millions of pairs.

The features are pHash's low frequencies of the discrete cosine transform (Zauner, "Implementation and benchmarking of
perceptual image hash functions", 2010; ``imagehash.phash``), kept as numbers instead of 64 signs. In numpy that is as
fast (matrix products instead of popcounts, which numpy 1 lacks) and separates better: for 280 blood-cell photos
cropped by 10 % at one side, pHash's median distance is 14 of 63 bits, and one unrelated pair in 1,000 has 16 or less;
as numbers the median product is 0.82, and one unrelated pair in 1,000 has 0.68 or more. Mirroring only changes the
sign of odd frequencies, so one set of features serves all mirrored copies.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

__all__ = [
    "FLAT",
    "HALVES",
    "SIDE",
    "correlations",
    "decode_signatures",
    "features",
    "parities",
    "pixels_of",
    "signature_of",
    "transposed",
]

Array = np.ndarray[Any, Any]

SIDE = 24
"""Side of the thumbnail in pixels; every image is resized to this square."""

FLAT = "flat"
"""Signature of a single-color image, which has nothing to compare."""

_GREY, _STEP = 128, 32
"""A thumbnail's stored mean and standard deviation; four deviations fit on either side."""

_FLAT_SHARE = 0.004
"""An image is flat if its thumbnail deviates less than this share of its range (one gray level of 256)."""

_WAVES = 7
"""Frequencies per axis that the features use."""

_CROP = 0.93
"""Side of the four corner crops that are searched too; any crop of up to a tenth is close to one of them."""

_BORDER_SIDE, _BORDER_RANGE, _LEAST_INSIDE = 96, 0.02, 0.4
"""A border is sought at about this side in pixels; its range of levels; the least share of a side that is inside."""

HALVES = (5, 6, 7, 8)
"""Lower, upper, right and left half, see :func:`features`."""

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
    levels = np.rint((values - values.mean()) / deviation * _STEP + _GREY)
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


@cache
def _frequencies() -> tuple[Array, Array, Array]:
    """Return the cosines (waves, SIDE), the order of the products that count, and their weights."""
    waves = np.arange(_WAVES)
    cosines = np.cos(np.pi * waves[:, None] * (np.arange(SIDE) + 0.5) / SIDE)
    down, across = np.divmod(np.arange(1, _WAVES**2), _WAVES)
    # Even-even first, then odd-odd, even-odd, odd-even: see :func:`parities`.
    order = np.argsort(2 * ((down + across) % 2) + down % 2, kind="stable")
    # Images have less of the high frequencies; unweighted, the lowest few would dominate.
    weights = (down**2 + across**2) ** 0.25
    return cosines.astype(np.float32), order + 1, weights[order].astype(np.float32)


def parities() -> tuple[int, int, int]:
    """Return where the odd-odd, even-odd and odd-even features begin (parity of the waves down, then across)."""
    _, order, _ = _frequencies()
    down, across = np.divmod(order, _WAVES)
    kinds = 2 * ((down + across) % 2) + down % 2
    first = np.searchsorted(kinds, [1, 2, 3])
    return int(first[0]), int(first[1]), int(first[2])


def features(thumbnails: Array, crop: int = 0) -> Array:
    """Return features of thumbnails, unit vectors, shape (n, 48), float32; their product is the similarity.

    Args:
        thumbnails: Shape (n, SIDE, SIDE).
        crop: 0 for the whole image, 1 to 4 for its corner crops, 5 to 8 for its halves.
    """
    cosines, order, weights = _frequencies()
    down = across = cosines
    if crop in HALVES:
        half = cosines @ _window(0.5, 0.5 * (crop % 2))
        down, across = (half, across) if crop < HALVES[2] else (down, half)
    elif crop:
        vertical, horizontal = divmod(crop - 1, 2)
        down = cosines @ _window(_CROP, vertical * (1 - _CROP))
        across = cosines @ _window(_CROP, horizontal * (1 - _CROP))
    found = np.empty((len(thumbnails), len(order)), np.float32)
    for start in range(0, len(thumbnails), 4096):
        values = (thumbnails[start : start + 4096].astype(np.float32) - _GREY) / _STEP
        waves = (down @ values @ across.T).reshape(len(values), -1)
        part = waves[:, order] * weights
        found[start : start + 4096] = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6)
    return found


def transposed(rows: Array) -> Array:
    """Return the features of the same images transposed."""
    _, order, _ = _frequencies()
    down, across = np.divmod(order, _WAVES)
    place = np.empty(_WAVES**2, dtype=int)
    place[order] = np.arange(len(order))
    return np.asarray(rows[:, place[across * _WAVES + down]])


def correlations(first: Array, second: Array) -> Array:
    """Return how pairs of thumbnails correlate, for the eight ways to turn the second, shape (n, 8).

    Bit 2: transposed, then bit 0: left and right, bit 1: top and bottom.
    """
    one, two = (thumbnails.astype(np.float32) - _GREY for thumbnails in (first, second))
    size = np.linalg.norm(one, axis=(1, 2)) * np.linalg.norm(two, axis=(1, 2))
    turns = []
    for upright in (two, two.transpose(0, 2, 1)):
        turns += [upright, upright[:, :, ::-1], upright[:, ::-1], upright[:, ::-1, ::-1]]
    products = np.stack([np.einsum("pxy,pxy->p", one, turn) for turn in turns], 1)
    return np.asarray(products / np.maximum(size, 1e-6)[:, None])


@cache
def _window(share: float, start: float) -> Array:
    """Return the matrix (SIDE, SIDE) that stretches part of a line to the whole line, by linear interpolation."""
    place = (start + share * (np.arange(SIDE) + 0.5) / SIDE) * SIDE - 0.5
    left = np.floor(place).astype(int)
    matrix = np.zeros((SIDE, SIDE), np.float32)
    rows = np.arange(SIDE)
    np.add.at(matrix, (rows, np.clip(left, 0, SIDE - 1)), 1 - (place - left))
    np.add.at(matrix, (rows, np.clip(left + 1, 0, SIDE - 1)), place - left)
    return matrix
