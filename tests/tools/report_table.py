"""The table of problems reported in public in ``platform/docs/arguments.md``: before and now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.unit.experiment.public_reports import FROZEN, REPORTS, RESUMED, Report

_RESUME_REFUSED = "refused: that is another experiment; start it with yolosweep run"


def _typed(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _typed(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={str(value).lower() if isinstance(value, bool) else value}"


def _tried(report: Report) -> str:
    space = report.space if "search" not in report.more or "box" not in report.space else {}
    searched = {"search": {"parameters": space}} if space and "box" not in space else {}
    given = {**report.more, **({"train": report.train} if report.train else {})}
    return " ".join([*_typed(given), *_typed(searched)])


def _now(report: Report) -> str:
    kind = "note" if report.is_note else "refused"
    return f"{kind}: {report.now}" if report.now else "accepted"


def rows() -> Iterator[tuple[str, ...]]:
    """Yield where, when, what happened there, what was tried here, the answer before and now."""
    for report in REPORTS:
        yield report.where, report.when, report.about, _tried(report), report.before, _now(report)
    for where, when, about, freeze, answer in FROZEN:
        now = f"refused: {answer}" if answer else "accepted"
        before = "accepted, and froze nothing" if answer else "the same: accepted"
        yield where, when, about, f"train.freeze={freeze}", before, now
    for where, when, about, asked in RESUMED:
        yield where, when, about, f"resume RUN {asked}", "the same: refused", _RESUME_REFUSED


def page() -> str:
    """Return the generated part of the section."""
    lines = ["| report | | what happened there | tried here | before | now |", "| --- | --- | --- | --- | --- | --- |"]
    for where, when, about, tried, before, now in rows():
        cells = [where, when, about, f"`{tried}`", before, now]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"
