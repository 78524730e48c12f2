"""The versions of every package that can change a result."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from importlib import metadata

from yolosweep import __version__
from yolosweep.backends import BACKENDS

__all__ = ["releases", "versions"]

_PACKAGES = ("ray", "optuna")
"""Packages of the platform itself; each backend names its own."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can change a result."""
    found = {"python": platform.python_version(), "yolosweep": __version__}
    of_backends = (package for backend in BACKENDS for package in backend.packages)
    for package in dict.fromkeys((*of_backends, *_PACKAGES)):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def releases(found: Mapping[str, str]) -> dict[str, str]:
    """Return versions without their build tags: torch 2.14.1+cpu and 2.14.1+cu130 are the same release."""
    return {package: version.partition("+")[0] for package, version in found.items()}
