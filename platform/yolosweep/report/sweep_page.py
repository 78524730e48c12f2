"""The report: one page that opens offline and contains its data, figures and scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shlex
import zlib
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from yolosweep.experiment import Parameter
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records.diagnosis import Change, Diagnosis
from yolosweep.records.events import Winner
from yolosweep.records.summary import Summary
from yolosweep.records.trial_columns import columns_of, duration_text, setting_text, short_metric
from yolosweep.records.verdict import Outcome, SweepVerdict
from yolosweep.report.ending_styles import STYLES
from yolosweep.report.figures import BEST_DRAWN, Figure, curves, drawn_trials, losses, scatters, score_history
from yolosweep.report.parallel_coordinates import parallel
from yolosweep.report.pareto_figure import trade_offs
from yolosweep.report.sweep_summary import summarize

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render", "render_of", "write_report"]

_LISTED = 300
"""Trials in the table."""


def write_report(folder: RunFolder) -> Path:
    """Write ``report.html`` of a run, ended or not, and return its path.

    Raises:
        RunFolderError: the ledger is damaged.
    """
    history = History.of(folder)
    folder.publish(render_of(folder, history), folder.report)
    return folder.report


def render_of(folder: RunFolder, history: History) -> str:
    """Return the page of a run as HTML, with the commands that lead on from it."""
    reproduce = f"yolosweep run {shlex.quote(str(folder.winner / 'reproduce.yaml'))}"
    return render(history, reproduce=reproduce, run=shlex.quote(folder.named))


def render(history: History, *, reproduce: str, run: str = "RUN") -> str:
    """Return the page as HTML. Everything that comes from data or settings is escaped.

    Args:
        history: the sweep.
        reproduce: the command that trains the winner again.
        run: the run, as commands name it.
    """
    summary, experiment = summarize(history), history.experiment
    winner = history.winner.winner if history.winner else None
    space = {name: Parameter.model_validate(p) for name, p in experiment["search"]["parameters"].items()}
    searched = {name: parameter for name, parameter in space.items() if len(set(map(repr, parameter.corners()))) > 1}
    environment, columns = _environment(), columns_of("page", summary.trials, metric=summary.metric)
    return environment.get_template("page.html.j2").render(
        summary=summary,
        columns=columns,
        listed=summary.best_first[:_LISTED],
        numeric=[place for place, column in enumerate(columns, 1) if column.numeric],
        drawn=len(drawn_trials(summary)),
        best_drawn=BEST_DRAWN,
        experiment=experiment,
        dataset=history.started.dataset,
        versions=history.started.versions,
        start_notes=history.started.notes,
        winner=winner,
        reproduce=reproduce,
        run=run,
        forest=_forest(summary.verdict),
        alternatives=[c for c in summary.diagnoses[0].changes if c != summary.change] if summary.diagnoses else [],
        findings=_other_findings(summary),
        classes=_classes(winner),
        pictures=_pictures(winner),
        parameters=list(space),
        scatters=[(f"scatter-{index}", name) for index, name in enumerate(searched)],
        trade_offs=[(f"trade-off-{place}", name) for place, (name, _) in enumerate(trade_offs(summary))],
        figures=_packed(_figures(history, summary, searched)),
        scripts=[_plotly(), environment.get_template("page.js").render()],
    )


def _plotly() -> str:
    """Return plotly.js 4.1.1, the bundle ``basic`` as Plotly publishes it: every figure consists of scatter traces."""
    return (resources.files("yolosweep.report") / "plotly" / "plotly-basic.min.js").read_text(encoding="utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader

    made = Environment(loader=PackageLoader("yolosweep.report", "."), autoescape=True, trim_blocks=True)
    made.filters.update(score=_score, signed=_signed, duration=duration_text, setting=setting_text)
    made.filters.update(metric=short_metric, moment=_moment, fingerprint=_fingerprint)
    made.globals.update(sort_key=_sort_key)
    made.globals.update(endings=STYLES)
    return made


def _figures(history: History, summary: Summary, searched: Mapping[str, Parameter]) -> dict[str, Figure]:
    """Return each figure by the id of its element in the page; none if no trial has a score."""
    if summary.best_trial is None:
        return {}
    figures = {"curves": curves(history, summary), "losses": losses(history, summary)}
    figures |= {f"trade-off-{place}": figure for place, (_, figure) in enumerate(trade_offs(summary))}
    if len(summary.scored) > 1:
        figures["history"] = score_history(summary)
    if searched:
        figures["parallel"] = parallel(summary, searched)
        figures.update({f"scatter-{index}": figure for index, figure in enumerate(scatters(summary, searched))})
    return figures


class _Lane(NamedTuple):
    """The interval of a difference on one split; positions in percent of the width."""

    label: str
    text: str
    low: float
    at: float
    high: float


class _Forest(NamedTuple):
    """The intervals of the verdict on one scale."""

    ticks: list[tuple[float, float]]
    """Positions and differences, 0 among them."""
    rows: list[_Lane]


def _forest(verdict: SweepVerdict) -> _Forest | None:
    """Return the intervals to draw; None where there is none, or where they mean nothing."""
    if verdict.outcome is Outcome.NOT_LEARNED:
        return None
    known = [(c.split, c.low, c.difference, c.high) for c in verdict.comparisons]
    if (seeds := verdict.seeds) is not None:
        known.append((f"{seeds.seeds} seeds", seeds.low, seeds.difference, seeds.high))
    spans = [
        (c, low, at, high) for c, low, at, high in known if low is not None and at is not None and high is not None
    ]
    if not spans:
        return None
    least, most = min(0.0, *(low for _, low, _, _ in spans)), max(0.0, *(high for _, _, _, high in spans))
    slack = (most - least) * 0.06 or 1.0

    def place(value: float) -> float:
        return round(100 * (value - least + slack) / (most - least + 2 * slack), 2)

    step = _step(most - least)
    marks = range(math.ceil(least / step), math.floor(most / step) + 1)
    return _Forest(
        ticks=[(place(mark * step), mark * step) for mark in marks],
        rows=[
            _Lane(c, f"{at:+.4f}, {low:+.4f} to {high:+.4f}", place(low), place(at), place(high))
            for c, low, at, high in spans
        ],
    )


def _step(span: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that fits at least three times into a span."""
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / 3))
    return next(factor * power for factor in (5, 2, 1) if 3 * factor * power <= span * (1 + 1e-9))


_SAID = {"within-noise": "label-more", "still-rising": "too-few-epochs"}
"""Diagnoses that say no more than another one, which has the images for all reasons, or all trials."""


def _other_findings(summary: Summary) -> list[tuple[Diagnosis, list[Change]]]:
    """Return the diagnoses below the first, which the answer states, with the changes that no earlier one asks for."""
    first = summary.diagnoses[0].changes if summary.diagnoses else ()
    lines, found = {change.line for change in (*first, summary.change) if change}, []
    codes = {diagnosis.code for diagnosis in summary.diagnoses}
    for diagnosis in summary.diagnoses[1:]:
        if _SAID.get(diagnosis.code) in codes:
            continue
        new = [change for change in diagnosis.changes if change.value is None or change.line not in lines]
        lines |= {change.line for change in new}
        found.append((diagnosis, new))
    return found


def _pictures(winner: Winner | None) -> dict[str, list[tuple[str, str]]]:
    """Return path and name of each picture beside the page, by folder, pages first; paths are percent-encoded.

    The worst images are in the page of mistakes.
    """
    paths = [one.path for one in winner.pictures if ".." not in one.path] if winner else []
    folders: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(paths, key=lambda path: path.count("/")):
        if path.startswith("winner/") and not path.startswith("winner/worst/"):
            folder, _, name = path.removeprefix("winner/").rpartition("/")
            folders.setdefault(folder.replace("plots/", "plots, ", 1) or "pages", []).append(
                (quote(path), name.rsplit(".", 1)[0])
            )
    return folders


class _Classes(NamedTuple):
    """The winner's metrics as validated again."""

    columns: list[tuple[str, str]]
    """Split and metric."""
    rows: list[tuple[str, list[float | None]]]
    """All classes, then each class: its name and a value per column."""


def _classes(winner: Winner | None) -> _Classes:
    splits = winner.validations if winner else {}
    columns = [(split, name) for split, v in splits.items() for name in v.metrics if name.startswith("metrics/")]
    labels = dict.fromkeys(label for validation in splits.values() for label in validation.per_class)
    overall = ("all", [splits[split].metrics[name] for split, name in columns])
    table = [(label, [splits[split].per_class.get(label, {}).get(name) for split, name in columns]) for label in labels]
    return _Classes(columns, [overall, *table])


def _packed(value: Any) -> str:
    """Return JSON, deflated and in base64: a fifth of its size, and safe inside a script element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _sort_key(value: Any, text: str) -> str | None:
    """Return by what a number is sorted where its text does not say it: durations, and what was not measured."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return None if abs(float(text) - value) <= 1e-3 * abs(value) else str(value)
    except ValueError:
        return str(value)


def _fingerprint(script: str) -> str:
    """Return a script's hash for the content security policy: only scripts with a listed hash run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _moment(at: datetime) -> str:
    """Return a time to the minute, in UTC."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
