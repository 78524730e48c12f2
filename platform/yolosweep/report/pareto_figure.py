"""The score against each further objective, with the Pareto front, the limits and the winner."""

from __future__ import annotations

from collections.abc import Sequence

from yolosweep.records.objectives import Objective
from yolosweep.records.summary import Summary, TrialSummary
from yolosweep.records.trial_columns import setting_text, short_metric
from yolosweep.report.figures import Figure, inner, rounded

__all__ = ["trade_offs"]

_NAMED = 12
"""Trials of the front that have their names beside them."""


def trade_offs(summary: Summary) -> list[tuple[str, Figure]]:
    """Return the name and the figure of each further objective that is known of a trial with a score."""
    found = []
    for objective in summary.objectives[1:]:
        trials = [one for one in summary.scored if one.objectives.get(objective.metric) is not None]
        if trials:
            found.append((objective.metric, _figure(summary, objective, trials)))
    return found


def _figure(summary: Summary, objective: Objective, trials: Sequence[TrialSummary]) -> Figure:
    front = [one for one in trials if one.trial in summary.front]
    others = [one for one in trials if one not in front]
    beyond = [one for one in others if one.standing == "limit"]
    within = [one for one in others if one.standing != "limit"]
    chosen = [one for one in trials if one.trial == summary.best_trial]
    groups = [
        _dots(summary, objective, within, "behind the front", symbol="circle", color="--soft", size=8),
        _dots(summary, objective, beyond, "beyond a limit", symbol="x-thin-open", color="--soft", size=9),
        _dots(summary, objective, front, "on the front", symbol="diamond", color="--best", size=11),
        _dots(summary, objective, chosen, "selected", symbol="star", color="--base", size=16),
    ]
    groups[2] |= {"mode": "markers+text" if len(front) <= _NAMED else "markers", "textposition": "top center"}
    line = [_steps(objective, front)] if len(summary.objectives) == 2 and len(front) > 1 else []
    layout = {
        "xaxis": {"title": {"text": inner(short_metric(objective.metric))}},
        "yaxis": {"title": {"text": inner(short_metric(summary.metric))}},
        "height": 340,
        "shapes": [] if objective.limit is None else [_border(objective.limit)],
    }
    return {"data": [*line, *(group for group in groups if group["x"])], "layout": layout}


def _dots(
    summary: Summary, objective: Objective, trials: Sequence[TrialSummary], what: str, **marker: str | int
) -> Figure:
    metric, name = inner(short_metric(summary.metric)), inner(short_metric(objective.metric))
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [rounded(one.objectives[objective.metric]) for one in trials],
        "y": [rounded(one.score) for one in trials],
        "text": [one.trial for one in trials],
        "customdata": [_settings(one) for one in trials],
        "name": what,
        "hovertemplate": f"%{{text}}, {what}<br>{metric} %{{y:.4f}}<br>{name} %{{x:.4g}}<br>%{{customdata}}"
        "<extra></extra>",
        "marker": {**marker, "line": {"color": "--card", "width": 1}},
    }


def _settings(trial: TrialSummary) -> str:
    return ", ".join(f"{inner(name)}={inner(setting_text(value))}" for name, value in trial.parameters.items())


def _steps(objective: Objective, front: Sequence[TrialSummary]) -> Figure:
    """Return the border of what is reached: between two trials of the front, the lower score."""
    ordered = sorted(front, key=lambda one: one.objectives[objective.metric] or 0.0)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [rounded(one.objectives[objective.metric]) for one in ordered],
        "y": [rounded(one.score) for one in ordered],
        "line": {"color": "--best", "width": 1.6, "shape": "hv" if objective.mode == "min" else "vh"},
        "hoverinfo": "skip",
    }


def _border(limit: float) -> Figure:
    line = {"color": "--base", "width": 1.6, "dash": "dash"}
    return {"type": "line", "x0": limit, "x1": limit, "yref": "paper", "y0": 0, "y1": 1, "line": line}
