"""Pictures at the size of objects: what a candidate pair is compared on, read again from the files when needed."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from yolosweep.data.duplicates.sensor_noise import Band, Detail, detail_of

__all__ = [
    "BLUR",
    "VIEW",
    "Calm",
    "Keypoints",
    "View",
    "Views",
    "calmed",
    "view_of",
    "window_mean",
    "windows_of",
]

Array = np.ndarray[Any, Any]

Key = TypeVar("Key")
Value = TypeVar("Value")

VIEW, _PAGE = 256, 1024
"""Side of a view, pixels: an object of 4 % of the width has 10; of a page, on which words are compared."""

BLUR = 1.5
"""Blur before views are compared, pixels."""

_WINDOW = np.array([0.25, 1, 1, 1, 1, 1, 0.25]) / 5.5
_COARSE = 32

_HELD, _HELD_DETAILS = 500, 300
"""Views kept at a time, and keypoints, together about 480 kB for each; details, of 256 kB."""
_KEYPOINTS, _KEYPOINT_SIDE = 300, 128
"""Most keypoints of a view, and the side at which they are sought; at 256 it takes twice as long."""


_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, [0, 7, 6, 5, 4, 3, 2, 1]].ravel()
"""Order of the bins of a SIFT descriptor (rows, columns, directions, seen from the keypoint) in a mirrored picture."""


class Keypoints(NamedTuple):
    """SIFT keypoints of a view."""

    places: Array
    """x, y in pixels of the view, shape (n, 2)."""
    descriptors: Array
    """RootSIFT, unit vectors, shape (n, 128)."""

    def mirrored(self) -> Keypoints:
        """Return the keypoints of the view mirrored left and right."""
        across, down = self.places.T
        return Keypoints(np.stack([VIEW - 1 - across, down], 1), self.descriptors[:, _MIRRORED])


class Calm(NamedTuple):
    """A picture blurred against noise and compression, and the window around each of its cells."""

    grey: Array
    """Shape (VIEW, VIEW), or (_PAGE, _PAGE), uint8."""
    mean: Array
    """Of the window around each cell of 2 by 2 pixels, half as high and wide."""
    spread: Array
    """Variance in these windows."""


class View(NamedTuple):
    """A picture as it is compared."""

    grey: Array
    """Shape (VIEW, VIEW), uint8, upright; the proportions are lost."""
    calm: Calm
    coarse: Array
    """A small picture, a unit vector without mean, shape (32, 32)."""
    native: Array
    """The middle of the picture in its own pixels, at most VIEW on a side: the noise of its sensor."""
    size: tuple[int, int]
    """Width and height of the picture."""


def _read(path: Path) -> View | None:
    """Read a view; None if the file cannot be decoded."""
    grey = _grey(path)
    if grey is None:
        return None
    left, top = max(0, grey.width - VIEW) // 2, max(0, grey.height - VIEW) // 2
    middle = grey.crop((left, top, min(grey.width, left + VIEW), min(grey.height, top + VIEW)))
    small = grey.resize((VIEW, VIEW), Image.Resampling.BOX, reducing_gap=2)
    return view_of(np.asarray(small), np.asarray(middle), grey.size)


def _grey(path: Path) -> Image.Image | None:
    """Read a picture in grey, upright; None if the file cannot be decoded."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            deep = image.mode[0] in "IF"
            if image.format == "JPEG":
                image.draft("L", image.size)
            upright = ImageOps.exif_transpose(image)
            return _eight_bits(upright) if deep else upright.convert("L")
    # ImportError: once imported, Ultralytics makes Pillow search a HEIF plugin for every unknown format.
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        return None


def view_of(grey: Array, native: Array, size: tuple[int, int]) -> View:
    """Return the view of a picture, of what :class:`View` names."""
    import cv2

    coarse = cv2.resize(grey, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).astype(np.float32)
    coarse -= coarse.mean()
    return View(grey, calmed(grey, BLUR), coarse / max(1e-6, float(np.linalg.norm(coarse))), native, size)


def calmed(grey: Array, blur: float) -> Calm:
    """Return a view blurred by so many pixels."""
    import cv2

    return windows_of(cv2.GaussianBlur(grey, (0, 0), blur))


def windows_of(grey: Array) -> Calm:
    """Return a blurred view with its windows."""
    values = grey.astype(np.float32)
    mean = window_mean(values)
    return Calm(grey, mean, np.maximum(window_mean(values * values) - mean * mean, 0))


def window_mean(values: Array) -> Array:
    """Return the mean of the window of 11 pixels around each cell of 2 by 2.

    Args:
        values: Shape (h, w), both even, float32.
    """
    import cv2

    height, width = values.shape
    cells = cv2.resize(values, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.sepFilter2D(cells, -1, _WINDOW, _WINDOW))


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
    # Not (pt + 0.5) * scale - 0.5: OpenCV doubles the picture first, which moves places by a quarter of a pixel.
    points = np.array([place.pt for place in places], np.float32) * scale
    return Keypoints(points, root)


class _Latest(Generic[Key, Value]):
    """The latest values that were made; safe for threads."""

    def __init__(self, held: int) -> None:
        self._held, self._lock = held, Lock()
        self._values: OrderedDict[Key, Value | None] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value | None]) -> Value | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._held:
                self._values.popitem(last=False)
        return value


class Views:
    """Views and keypoints of files, the latest ones kept; safe for threads."""

    def __init__(self, read: Callable[[Path], View | None] = _read) -> None:
        self._read = read
        self._views: _Latest[Path, View] = _Latest(_HELD)
        self._keypoints: _Latest[Path, Keypoints] = _Latest(_HELD)
        self._details: _Latest[tuple[Path, Band], Detail] = _Latest(_HELD_DETAILS)

    def view(self, path: Path) -> View | None:
        """Return the view of a file; None if it cannot be decoded."""
        return self._views.get(path, lambda: self._read(path))

    def keypoints(self, path: Path) -> Keypoints | None:
        """Return the keypoints of a file's view; None if there are too few."""
        view = self.view(path)
        return None if view is None else self._keypoints.get(path, lambda: _keypoints_of(view.grey))

    def page(self, path: Path) -> Calm | None:
        """Return a file's picture at the size of a page, not kept; None if it cannot be decoded."""
        grey = _grey(path)
        if grey is None:
            return None
        return calmed(np.asarray(grey.resize((_PAGE, _PAGE), Image.Resampling.BILINEAR, reducing_gap=2)), BLUR)

    def detail(self, path: Path, band: Band) -> Detail | None:
        """Return the detail of a file's picture; None if it is too small."""
        view = self.view(path)
        return None if view is None else self._details.get((path, band), lambda: detail_of(view.native, band))
