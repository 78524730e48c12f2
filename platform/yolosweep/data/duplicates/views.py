"""Pictures at the size of objects: what a candidate pair is compared on, read again from the files when needed."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

__all__ = ["BLUR", "VIEW", "Keypoints", "View", "Views", "calmed"]

Array = np.ndarray[Any, Any]

VIEW = 256
"""Side of a view, pixels: an object of 4 % of the width has 10."""

BLUR = 1.5
"""Blur before views are compared, pixels."""

_HELD = 1000
"""Views kept at a time, and keypoints; together about 350 kB for each."""
_KEYPOINTS, _KEYPOINT_SIDE = 300, 128
"""Most keypoints of a view, and the side at which they are sought; at 256 it takes twice as long."""


class Keypoints(NamedTuple):
    """SIFT keypoints of a view."""

    places: Array
    """x, y in pixels of the view, shape (n, 2)."""
    descriptors: Array
    """RootSIFT, unit vectors, shape (n, 128)."""


class View(NamedTuple):
    """A picture as it is compared."""

    grey: Array
    """Shape (VIEW, VIEW), uint8, upright; the proportions are lost."""
    calm: Array
    """The same, blurred against noise and compression."""
    native: Array
    """The middle of the picture in its own pixels, at most VIEW on a side: the noise of its sensor."""
    size: tuple[int, int]
    """Width and height of the picture."""


def _read(path: Path) -> View | None:
    """Read a view; None if the file cannot be decoded."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            deep = image.mode[0] in "IF"
            if image.format == "JPEG":
                image.draft("L", image.size)
            upright = ImageOps.exif_transpose(image)
            grey = _eight_bits(upright) if deep else upright.convert("L")
    # ImportError: once imported, Ultralytics makes Pillow search a HEIF plugin for every unknown format.
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        return None
    left, top = max(0, grey.width - VIEW) // 2, max(0, grey.height - VIEW) // 2
    middle = grey.crop((left, top, min(grey.width, left + VIEW), min(grey.height, top + VIEW)))
    small = grey.resize((VIEW, VIEW), Image.Resampling.BOX, reducing_gap=2)
    values = np.asarray(small)
    return View(values, calmed(values, BLUR), np.asarray(middle), grey.size)


def calmed(grey: Array, blur: float) -> Array:
    """Return a view blurred by so many pixels."""
    import cv2

    return np.asarray(cv2.GaussianBlur(grey, (0, 0), blur))


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image.convert("I"), dtype=np.float64)
    low, high = values.min(), max(values.max(), values.min() + 1)
    return Image.fromarray(((values - low) * 255 / (high - low)).astype(np.uint8))


def _keypoints_of(grey: Array) -> Keypoints | None:
    """Return the keypoints of a view; None if there are too few."""
    import cv2

    small = cv2.resize(grey, (_KEYPOINT_SIDE, _KEYPOINT_SIDE), interpolation=cv2.INTER_AREA)
    places, values = cv2.SIFT.create(nfeatures=_KEYPOINTS, contrastThreshold=0.01).detectAndCompute(small, None)
    if values is None or len(places) < 8:
        return None
    root = np.sqrt(values / (values.sum(1, keepdims=True) + 1e-6))
    scale = VIEW / _KEYPOINT_SIDE
    points = (np.array([place.pt for place in places], np.float32) + 0.5) * scale - 0.5
    return Keypoints(points, root)


class Views:
    """Views and keypoints of files, the latest ones kept; safe for threads."""

    def __init__(self, read: Callable[[Path], View | None] = _read) -> None:
        self._read = read
        self._lock = Lock()
        self._views: OrderedDict[Path, View | None] = OrderedDict()
        self._keypoints: OrderedDict[tuple[Path, bool], Keypoints | None] = OrderedDict()

    def view(self, path: Path) -> View | None:
        """Return the view of a file; None if it cannot be decoded."""
        with self._lock:
            if path in self._views:
                self._views.move_to_end(path)
                return self._views[path]
        view = self._read(path)
        self._hold(self._views, path, view)
        return view

    def keypoints(self, path: Path, *, mirrored: bool = False) -> Keypoints | None:
        """Return the keypoints of a file's view, or of the view mirrored left and right; None if there are too few."""
        key = (path, mirrored)
        with self._lock:
            if key in self._keypoints:
                self._keypoints.move_to_end(key)
                return self._keypoints[key]
        view = self.view(path)
        found = _keypoints_of(view.grey[:, ::-1] if mirrored else view.grey) if view is not None else None
        self._hold(self._keypoints, key, found)
        return found

    def _hold(self, kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
        with self._lock:
            kept[key] = value
            while len(kept) > _HELD:
                kept.popitem(last=False)
