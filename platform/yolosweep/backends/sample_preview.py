"""One sample as a training would see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Preview"]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One sample under one part of an experiment's augmentation."""

    look: str
    """``as it is``, ``mosaic``, ``hsv``, the name of a pipeline, or ``all together``."""
    image: Path
    """The sample; a mosaic shows others beside it."""
    pixels: NDArray[np.uint8]
    """Height x width x 3, RGB."""
    categories: tuple[int, ...]
    """Class numbers: one per box, or the image's own in classify."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Left, top, right, bottom in pixels."""
    polygons: tuple[tuple[float, ...], ...] = ()
    """x, y, x, y… in pixels: one per box in segment and obb, else empty."""
