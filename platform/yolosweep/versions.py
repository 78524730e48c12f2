"""The versions of everything that can change a result."""

from __future__ import annotations

import contextlib
import platform
from importlib import metadata

from yolosweep import __version__

__all__ = ["versions"]

_PACKAGES = ("ultralytics-opencv-headless", "torch", "ray", "optuna", "albumentations", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can change a result."""
    found = {"python": platform.python_version(), "yolosweep": __version__}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
