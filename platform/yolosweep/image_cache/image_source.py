"""The source of an image store: the user's files, read by Ultralytics' own function."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__all__ = ["Loaded", "Source"]

Loaded = tuple[Any, tuple[int, int], tuple[int, int]]
"""Pixels (uint8, height x width x channels, BGR), original (height, width), (height, width) of the pixels."""

_NO_FILE = Path(os.devnull) / "none"


@dataclass(frozen=True)
class Source:
    """Image files as a training at one size sees them; may be pickled."""

    files: Sequence[str]
    imgsz: int
    """Length of the longer side, pixels."""
    channels: int = 3

    def key(self) -> str:
        """Return a SHA-256 (hex) of all that determines the pixels: files, sizes, times, imgsz, library versions."""
        digest = hashlib.sha256(repr((self.imgsz, self.channels, *self.versions())).encode())
        for file in self.files:
            digest.update(os.fsencode(file) + b"\0")
            try:
                stat = os.stat(file)
            except OSError:
                digest.update(b"-\0")
            else:
                digest.update(f"{stat.st_size}:{stat.st_mtime_ns}\0".encode())
        return digest.hexdigest()

    def versions(self) -> tuple[str, ...]:
        """Return the versions of the libraries that decode and resize."""
        import cv2
        import PIL
        import ultralytics

        return str(cv2.__version__), str(ultralytics.__version__), str(PIL.__version__)

    def load(self, index: int) -> Loaded:
        """Return what ``BaseDataset.load_image(index)`` returns for the image file itself.

        A ``.npy`` file of Ultralytics beside the image is neither read nor written.

        Raises:
            FileNotFoundError: there is no such image, or it cannot be decoded.
        """
        import cv2
        from ultralytics.data.base import BaseDataset

        flags = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}
        dataset = SimpleNamespace(
            ims=[None],
            im_files=[self.files[index]],
            npy_files=[_NO_FILE],
            imgsz=self.imgsz,
            channels=self.channels,
            cv2_flag=flags.get(self.channels, cv2.IMREAD_UNCHANGED),
            cache=None,
            augment=False,
            prefix="",
        )
        image, original, resized = BaseDataset.load_image(dataset, 0)
        return image, original, resized

    def decoded_bytes(self, index: int) -> int:
        """Return the size of a decoded image, from its header only; the maximum if it cannot be read."""
        from PIL import Image

        try:
            with Image.open(self.files[index]) as image:
                width, height = image.size
            ratio = self.imgsz / max(width, height)
        except Exception:  # Pillow's plugins raise any type; decoding comes later
            return self.imgsz * self.imgsz * self.channels
        sides = [min(math.ceil(side * ratio), self.imgsz) for side in (width, height)]
        return sides[0] * sides[1] * self.channels
