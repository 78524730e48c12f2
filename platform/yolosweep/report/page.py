"""The report: one page that opens offline, with its data, pictures and scripts inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yolosweep.experiment import Parameter
from yolosweep.history import History
from yolosweep.ledger import RunFolder, write_atomic
from yolosweep.report.figures import curves, parallel, scatters
from yolosweep.report.summary import summary

__all__ = ["write_report"]


def write_report(folder: RunFolder) -> Path:
    """Write ``report.html`` of a run, ended or not, and return its path.

    Raises:
        RunFolderError: the ledger is damaged.
    """
    history = History.of(folder)
    write_atomic(folder.report, render(history))
    return folder.report


def render(history: History) -> str:
    """Return the page as HTML. Everything that comes from data or settings is escaped."""
    from jinja2 import Environment, PackageLoader
    from plotly.offline import get_plotlyjs

    told = summary(history)
    experiment = history.started["experiment"]
    space = {name: Parameter.model_validate(p) for name, p in experiment["search"]["parameters"].items()}
    small = scatters(told, space)
    figures = {"curves": curves(history, told), "parallel": parallel(told, space)}
    figures.update({f"scatter-{index}": figure for index, (_, figure) in enumerate(small)})
    environment = Environment(loader=PackageLoader("yolosweep.report", "."), autoescape=True)
    environment.filters.update(score=_score, signed=_signed, duration=_duration, short=_short)
    return environment.get_template("page.html.j2").render(
        told=told,
        experiment=experiment,
        dataset=history.started["dataset"],
        versions=history.started.get("versions", {}),
        start_notes=history.started.get("notes", []),
        winner=history.winner,
        parameters=list(space),
        scatters=[f"scatter-{index}" for index in range(len(small))],
        figures=_embedded(figures),
        plotly=get_plotlyjs(),
    )


def _embedded(value: Any) -> str:
    """Return JSON that can stand inside a script element whatever the strings in it say."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
