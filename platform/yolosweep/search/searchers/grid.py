"""Grid search: every combination of the space, once, in the order of the file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from yolosweep.experiment import Parameter

__all__ = ["Grid"]


class Grid:
    """See ``Searcher``; it learns nothing, and the seed does not matter."""

    def __init__(self, space: Mapping[str, Parameter], *, seed: int, mode: str) -> None:
        self._names = list(space)
        self._points = itertools.product(*(parameter.grid() or () for parameter in space.values()))

    def suggest(self, number: int, attempt: int = 0) -> dict[str, Any] | None:
        """Return the next point; None after the last one."""
        point = next(self._points, None)
        return None if point is None else dict(zip(self._names, point, strict=True))

    def started(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Learn nothing."""

    def tell(self, number: int, used: Mapping[str, Any], score: float | None, *, learned: bool = True) -> None:
        """Learn nothing."""
