"""One change to Ultralytics, with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Patch"]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """One change to Ultralytics."""

    target: str
    """What is changed: ``module:attribute``, dotted below a class."""
    why: str
    upstream: str
    """What Ultralytics would have to offer instead."""
    test: str
    """File of the tests that fail without it."""
    digests: Mapping[str, str]
    """Upstream code it depends on → first 12 hex digits of the SHA-256 of its source in the pinned release."""
    replacement: Callable[[Any], Any] | None = None
    """Makes the new value from the old one, for the whole process; None for an override or a ``with`` block."""
    also_in: tuple[str, ...] = ()
    """Other modules that have imported the same name."""
