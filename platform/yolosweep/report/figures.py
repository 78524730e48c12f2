"""Learning curves and scatter plots as plain Plotly figures (``data`` and ``layout``), ready for JSON.

Colours are names of the page's CSS variables (``--best``); the page replaces them by those of its light or dark theme.
Texts from a run are escaped, because Plotly interprets markup in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from yolosweep.experiment import Parameter
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.columns import setting_text, short_metric
from yolosweep.records.summary import Summary, TrialSummary
from yolosweep.report.ending_styles import STYLES

__all__ = ["Figure", "curves", "inner", "rounded", "scatters"]

Figure = dict[str, Any]


def inner(value: Any) -> str:
    """Return a setting as text for a figure, where Plotly would interpret ``<b>`` as markup."""
    return escape(setting_text(value), quote=False)


def rounded(value: float | None) -> float | None:
    """Round to five significant digits: more are invisible and only enlarge the page."""
    return None if value is None else float(f"{value:.5g}")


def curves(history: History, summary: Summary) -> Figure:
    """Return the score per epoch of every trial that has one, with the best trial and the defaults on top.

    The last trace marks the endings of trials that did not train all epochs, and the epoch of the best score.
    """
    best = summary.best_trial
    trials = [trial for trial in history.trials.values() if trial.score is not None]
    trials.sort(key=lambda trial: (trial.request.trial == best, trial.request.number == 0))
    longest = max((trial.rows[-1].epoch for trial in trials), default=1)
    return {
        "data": [*(_curve(trial, best, summary.verdict.reference_name) for trial in trials), _marks(trials, best)],
        "layout": {
            "xaxis": {"title": {"text": "epoch"}, "range": [0.5, longest + 0.5], "rangemode": "nonnegative"},
            "yaxis": {"title": {"text": inner(short_metric(summary.metric))}},
            "height": 400,
        },
    }


def _curve(trial: TrialHistory, best: str | None, base_name: str) -> dict[str, Any]:
    name = trial.request.trial
    role = "best" if name == best else "base" if trial.request.number == 0 else "rest"
    label = name + {"best": " (best)", "base": f" ({base_name})", "rest": ""}[role]
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(trial.rows) < 3 else "lines",
        **_epochs([row.epoch for row in trial.rows]),
        "y": [rounded(row.score) for row in trial.rows],
        "name": label,
        "line": {"color": f"--{role}", "width": 1 if role == "rest" else 2.6},
        "opacity": 0.6 if role == "rest" else 1,
        "hovertemplate": f"{label}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
    }


def _epochs(epochs: Sequence[int]) -> dict[str, Any]:
    """Return x, in short form where the epochs are consecutive."""
    gapless = epochs[-1] - epochs[0] == len(epochs) - 1
    return {"x0": epochs[0], "dx": 1} if gapless else {"x": list(epochs)}


def _marks(trials: Iterable[TrialHistory], best: str | None) -> dict[str, Any]:
    marks: list[tuple[int, float, str, str, int, str]] = []
    for trial in trials:
        name, symbol = trial.request.trial, STYLES[trial.status].symbol
        last = next(row for row in reversed(trial.rows) if row.score is not None)
        assert last.score is not None
        if trial.status not in ("finished", "running"):
            marks.append((last.epoch, last.score, symbol, f"--{trial.status}", 7, f"{name}: {trial.status}"))
        end = trial.rows[-1]
        if name == best and end.best_epoch is not None and end.best_score is not None:
            marks.append((end.best_epoch, end.best_score, "star", "--best", 14, f"{name}: best epoch"))
    x, y, symbols, colours, sizes, texts = ([mark[index] for mark in marks] for index in range(6))
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "text": texts,
        "marker": {
            "symbol": symbols,
            "color": colours,
            "size": sizes,
            "opacity": 1,
            "line": {"color": "--card", "width": 0.5},
        },
        "hovertemplate": "%{text}<br>epoch %{x}: %{y:.4f}<extra></extra>",
    }


def scatters(summary: Summary, space: Mapping[str, Parameter]) -> list[Figure]:
    """Return one figure per parameter: score over the value really used, one trace per ending."""
    scored = summary.scored
    scores = [trial.score for trial in scored if trial.score is not None] or [0.0]
    slack = (max(scores) - min(scores)) * 0.08 or abs(scores[0]) * 0.1 or 0.1
    figures = []
    for name, parameter in space.items():
        layout = {
            "xaxis": {
                "title": {"text": inner(name)},
                **_axis(parameter, [trial.parameters.get(name) for trial in scored]),
            },
            "yaxis": {"range": [min(scores) - slack, max(scores) + slack], "nticks": 5},
            "height": 230,
        }
        endings = dict.fromkeys(trial.ending for trial in scored)
        data = [_dots(name, parameter, ending, scored, summary.best_trial) for ending in endings]
        figures.append({"data": data, "layout": layout})
    return figures


def _dots(name: str, parameter: Parameter, ending: str, scored: Iterable[TrialSummary], best: str | None) -> Figure:
    chosen = [trial for trial in scored if trial.ending == ending]
    values = [trial.parameters.get(name) for trial in chosen]
    roles = ["best" if t.trial == best else "base" if t.number == 0 else ending for t in chosen]
    open_circle = STYLES[ending].symbol.endswith("open")
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [inner(value) for value in values] if _is_choice(parameter) else values,
        "y": [rounded(trial.score) for trial in chosen],
        "name": ending,
        "text": [f"{trial.trial} ({ending})" for trial in chosen],
        "hovertemplate": "%{text}: %{y:.4f}<br>" + inner(name) + " = %{x}<extra></extra>",
        "marker": {
            "color": [f"--{role}" for role in roles],
            "opacity": 0.85,
            "size": [9 if role == ending else 13 for role in roles],
            "symbol": STYLES[ending].symbol,
            "line": {"color": "--card", "width": 2 if open_circle else 0.7},
        },
    }


def _is_choice(parameter: Parameter) -> bool:
    return parameter.kind == "categorical"


def _axis(parameter: Parameter, used: Sequence[Any]) -> dict[str, Any]:
    """Return an x axis over all values that were searched or used."""
    if _is_choice(parameter):
        names = list(dict.fromkeys(inner(value) for value in (*parameter.corners(), *used)))
        return {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "range": [-0.5, len(names) - 0.5],
        }
    numbers = [*parameter.corners(), *(value for value in used if isinstance(value, (int, float)))]
    if not parameter.is_log:
        low, high = min(numbers), max(numbers)
        return {"range": [low - (high - low) * 0.06, high + (high - low) * 0.06], "nticks": 6}
    low, high = min(n for n in numbers if n > 0), max(numbers)
    ticks = _log_ticks(low, high)
    span = [math.log10(low), math.log10(high)]
    slack = (span[1] - span[0]) * 0.06
    return {
        "type": "log",
        "range": [span[0] - slack, span[1] + slack],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten between two values, and 2 and 5 times each where these are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if math.log10(high / low) >= 2 else (1, 2, 5)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in ticks if low * 0.99 <= tick <= high * 1.01] or [low, high]
