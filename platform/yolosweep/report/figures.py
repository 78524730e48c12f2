"""Learning curves, losses, history and scatter plots as plain Plotly figures (``data`` and ``layout``), ready for JSON.

Colours are names of the page's CSS variables (``--best``); the page replaces them by those of its light or dark theme.
Texts from a run are escaped, because Plotly interprets markup in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

from yolosweep.diagnosis.observed_training import Training
from yolosweep.experiment import Parameter
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.summary import Summary, TrialSummary
from yolosweep.records.trial_columns import setting_text, short_metric
from yolosweep.report.ending_styles import STYLES

__all__ = ["BEST_DRAWN", "Figure", "curves", "drawn_trials", "inner", "losses", "rounded", "scatters", "score_history"]

Figure = dict[str, Any]

BEST_DRAWN = 100
"""Of more than twice as many trials, the best that are drawn: more lines hide each other and enlarge the page."""


_FEW = 12
"""Trials whose numbers all fit on an axis."""


def inner(value: Any) -> str:
    """Return a setting as text for a figure, where Plotly would interpret ``<b>`` as markup."""
    return escape(setting_text(value), quote=False)


def rounded(value: float | None) -> float | None:
    """Round to five significant digits: more are invisible and only enlarge the page."""
    return None if value is None else float(f"{value:.5g}")


def drawn_trials(summary: Summary) -> list[str]:
    """Return the scored trials that are drawn as lines: all, or the best half and every n-th of the rest."""
    ranked = [trial for trial in summary.best_first if trial.score is not None]
    if len(ranked) > 2 * BEST_DRAWN:
        best, rest = ranked[:BEST_DRAWN], ranked[BEST_DRAWN:]
        step = -(-len(rest) // BEST_DRAWN)
        ranked = [*best, *(trial for place, trial in enumerate(rest) if place % step == 0 or trial.number == 0)]
    return [trial.trial for trial in ranked]


def curves(history: History, summary: Summary) -> Figure:
    """Return the score per epoch of the drawn trials, with the best trial and the defaults on top.

    The last trace marks the endings of trials that did not train all epochs, and the epoch of the best score.
    """
    best = summary.best_trial
    trials = [trial for name in drawn_trials(summary) if (trial := history.trials[name]).score is not None]
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


def losses(history: History, summary: Summary) -> Figure:
    """Return training loss, validation loss and score per epoch of the drawn trials; the page shows one at a time."""
    data = []
    for name in drawn_trials(summary):
        rows = history.trials[name].rows
        training = Training(rows=tuple(rows))
        scored = [(row.epoch, row.score) for row in rows if row.score is not None]
        for label, colour, axis, points in (
            ("training loss", "--base", "y", zip(training.train_loss.epochs, training.train_loss.values, strict=True)),
            ("validation loss", "--rest", "y", zip(training.val_loss.epochs, training.val_loss.values, strict=True)),
            (short_metric(summary.metric), "--best", "y2", scored),
        ):
            if known := list(points):
                data.append(_loss_curve(name, inner(label), colour, axis, known))
    right = {
        "title": {"text": inner(short_metric(summary.metric))},
        "overlaying": "y",
        "side": "right",
        "tickmode": "auto",
    }
    return {
        "data": data,
        "layout": {
            "xaxis": {"title": {"text": "epoch"}},
            # Logarithmic: else one epoch with a huge loss flattens all others.
            "yaxis": {"title": {"text": "loss, sum of its parts"}, "type": "log"},
            "yaxis2": {**right, "showgrid": False},
            "height": 300,
        },
    }


def _loss_curve(trial: str, label: str, colour: str, axis: str, points: Sequence[tuple[int, float]]) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(points) < 3 else "lines",
        **_epochs([epoch for epoch, _ in points]),
        "y": [rounded(value) for _, value in points],
        "yaxis": axis,
        "meta": trial,
        "line": {"color": colour, "width": 2, "dash": "dot" if label == "validation loss" else "solid"},
        "hovertemplate": f"{label}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
    }


def score_history(summary: Summary) -> Figure:
    """Return the score of every searched trial in the order in which they were started, and the best so far."""
    scored = sorted(summary.scored, key=lambda trial: trial.number)
    pick = max if summary.mode == "max" else min
    best_so_far = list(accumulate((trial.score or 0.0 for trial in scored), pick))
    numbers = [trial.number for trial in scored]
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": numbers,
        "y": list(map(rounded, best_so_far)),
        "line": {"color": "--best", "width": 1.6, "shape": "hv"},
        "hovertemplate": "best so far: %{y:.4f}<extra></extra>",
    }
    groups = [
        _dots(ending, chosen, [trial.number for trial in chosen], "", summary.best_trial)
        for ending, chosen in _by_ending(scored).items()
    ]
    steps = {"dtick": 1} if scored and scored[-1].number < _FEW else {}
    score = {"title": {"text": inner(short_metric(summary.metric))}}
    layout = {"xaxis": {"title": {"text": "trial"}, **steps}, "yaxis": score}
    return {"data": [line, *groups], "layout": {**layout, "height": 300}}


def _by_ending(trials: Iterable[TrialSummary]) -> dict[str, list[TrialSummary]]:
    found: dict[str, list[TrialSummary]] = {}
    for trial in trials:
        found.setdefault(trial.ending, []).append(trial)
    return found


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
        data = []
        for ending, chosen in _by_ending(scored).items():
            values = [trial.parameters.get(name) for trial in chosen]
            x = [inner(value) for value in values] if _is_choice(parameter) else values
            data.append(_dots(ending, chosen, x, f"<br>{inner(name)} = %{{x}}", summary.best_trial))
        figures.append({"data": data, "layout": layout})
    return figures


def _dots(ending: str, chosen: Sequence[TrialSummary], x: Sequence[Any], more: str, best: str | None) -> Figure:
    roles = ["best" if t.trial == best else "base" if t.number == 0 else ending for t in chosen]
    open_circle = STYLES[ending].symbol.endswith("open")
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": [rounded(trial.score) for trial in chosen],
        "name": ending,
        "text": [f"{trial.trial} ({ending})" for trial in chosen],
        "hovertemplate": "%{text}: %{y:.4f}" + more + "<extra></extra>",
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
