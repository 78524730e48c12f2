"""The versions of every package that can change a result."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from importlib import metadata

from yolosweep import __version__

__all__ = ["releases", "versions"]

_PACKAGES = ("ultralytics-opencv-headless", "torch", "ray", "optuna", "albumentations", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can change a result."""
    found = {"python": platform.python_version(), "yolosweep": __version__}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def releases(found: Mapping[str, str]) -> dict[str, str]:
    """Return versions without their build tags: torch 2.14.1+cpu and 2.14.1+cu130 are the same release."""
    return {package: version.partition("+")[0] for package, version in found.items()}
