"""Counts problems file by file, so that 100,000 bad files make one finding."""

from __future__ import annotations

import os
from typing import NamedTuple

from yolosweep.data.model.finding_codes import OUTSIDE, TEXTS, USED, finding
from yolosweep.data.model.safe_paths import printable
from yolosweep.records import Finding

__all__ = ["FindingCounter"]


class _Count(NamedTuple):
    file: str
    line: int | None
    times: int


class FindingCounter:
    """How often each code occurred in a split, and where first."""

    def __init__(self, split: str | None = None, *, outside: bool = False) -> None:
        self.split = split
        self._outside = outside
        self._seen: dict[str, _Count] = {}

    def add(self, code: str, file: str, line: int | None = None) -> None:
        """Count one occurrence; the first of each code is the example shown."""
        known = self._seen.get(code)
        self._seen[code] = _Count(file, line, 1) if known is None else known._replace(times=known.times + 1)

    def count(self, code: str) -> int:
        """Return how often a code occurred."""
        return self._seen[code].times if code in self._seen else 0

    def findings(self) -> list[Finding]:
        """Return one finding per code."""
        found = [
            finding(code, text, file=seen.file, line=seen.line, split=self.split, count=seen.times)
            for (code, seen), text in zip(self._seen.items(), self._texts(), strict=True)
        ]
        return [one.model_copy(update={"fix": ""}) if self._uses(one.code) else one for one in found]

    def _uses(self, code: str) -> bool:
        return self._outside and code == OUTSIDE

    def summary(self) -> str:
        """Return all counts in one clause, for an error about a split without images."""
        return "; ".join(self._texts())

    def _texts(self) -> list[str]:
        return [
            (USED if self._uses(code) else TEXTS[code]).format(
                n=seen.times, file=printable(seen.file), target=printable(os.path.realpath(seen.file))
            )
            for code, seen in self._seen.items()
        ]
