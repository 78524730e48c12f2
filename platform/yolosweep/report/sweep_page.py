"""The report: one page that opens offline, with its data, pictures and scripts inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from yolosweep.experiment import Parameter
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.report.figures import SYMBOLS, Figure, curves, scatters, shown
from yolosweep.report.parallel_coordinates import parallel
from yolosweep.report.summary import summary

__all__ = ["render", "write_report"]


def write_report(folder: RunFolder) -> Path:
    """Write ``report.html`` of a run, ended or not, and return its path.

    Raises:
        RunFolderError: the ledger is damaged.
    """
    history = History.of(folder)
    folder.publish(render(history), folder.report)
    return folder.report


def render(history: History) -> str:
    """Return the page as HTML. Everything that comes from data or settings is escaped."""
    from jinja2 import Environment, PackageLoader
    from plotly.offline import get_plotlyjs

    told = summary(history)
    experiment = history.experiment
    winner = history.winner.winner.model_dump(mode="json") if history.winner else None
    space = {name: Parameter.model_validate(p) for name, p in experiment["search"]["parameters"].items()}
    searched = {name: parameter for name, parameter in space.items() if len(set(map(repr, parameter.corners()))) > 1}
    environment = Environment(loader=PackageLoader("yolosweep.report", "."), autoescape=True, trim_blocks=True)
    environment.filters.update(score=_score, signed=_signed, duration=_duration, short=shown, moment=_moment)
    environment.filters.update(fingerprint=_fingerprint, ran_on=_ran_on)
    return environment.get_template("page.html.j2").render(
        told=told,
        experiment=experiment,
        dataset=history.started.dataset.model_dump(mode="json"),
        versions=history.started.versions,
        start_notes=history.started.notes,
        winner=winner,
        classes=_classes(winner),
        parameters=list(space),
        scatters=[(f"scatter-{index}", name) for index, name in enumerate(searched)],
        symbols=SYMBOLS,
        endings=list(SYMBOLS),
        figures=_embedded(_figures(history, told, searched)),
        scripts=[get_plotlyjs(), environment.get_template("page.js").render()],
    )


def _figures(history: History, told: Mapping[str, Any], searched: Mapping[str, Parameter]) -> dict[str, Figure]:
    """Return every figure by the id of its place in the page; none where no trial has a score."""
    if told["best_trial"] is None:
        return {}
    figures = {"curves": curves(history, told)}
    if searched:
        figures["parallel"] = parallel(told, searched)
        figures.update({f"scatter-{index}": figure for index, figure in enumerate(scatters(told, searched))})
    return figures


def _classes(winner: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the winner's metrics as validated again: all classes, then each; a column per split and metric."""
    splits: Mapping[str, Any] = winner["validations"] if winner else {}
    columns = [(split, name) for split, v in splits.items() for name in v["metrics"] if name.startswith("metrics/")]
    labels = dict.fromkeys(label for validation in splits.values() for label in validation["per_class"])
    overall = ("all", [splits[split]["metrics"][name] for split, name in columns])
    table = [
        (label, [splits[split]["per_class"].get(label, {}).get(name) for split, name in columns]) for label in labels
    ]
    return {"columns": columns, "rows": [overall, *table]}


def _embedded(value: Any) -> str:
    """Return JSON that can stand inside a script element whatever the strings in it say."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _fingerprint(script: str) -> str:
    """Return what a content policy calls a script by: only these run, whatever else gets into the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _moment(text: str) -> str:
    """Return a time of the ledger to the minute, in UTC."""
    return f"{datetime.fromisoformat(text).astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _ran_on(told: Mapping[str, Any]) -> str:
    """Return what a trial ran on in one line; what was not measured, and what is as always, is left out."""
    starts, recoveries, memory = told["retries"] + 1, told["recoveries"], told["memory_mb"]
    parts = [
        told["host"],
        told["device"],
        f"{told['world_size']} ranks" if told["world_size"] != 1 else None,
        told["threads"] and f"{told['threads']} thread{_s(told['threads'])}",
        told["epoch_seconds"] is not None and f"{told['epoch_seconds']:.3g} s/epoch",
        told["images_per_s"] is not None and f"{_round(told['images_per_s'])} images/s",
        memory is not None and f"{_memory(memory)} memory",
        told["gpu_memory_mb"] is not None and f"{_memory(told['gpu_memory_mb'])} of the GPU's",
        f"{starts} starts" if starts > 1 else None,
        recoveries and f"{recoveries} epoch{_s(recoveries)} trained again",
    ]
    return " · ".join(part for part in parts if part)


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _round(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _memory(mb: float) -> str:
    return f"{mb:.0f} MiB" if mb < 1024 else f"{mb / 1024:.1f} GiB"
