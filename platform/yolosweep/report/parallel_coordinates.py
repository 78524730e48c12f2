"""Parallel coordinates: one line per trial across all searched parameters and the score.

Drawn as ordinary lines: Plotly's own trace needs WebGL and shows only an error message in browsers without it (remote
desktops, machines without a GPU).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from yolosweep.experiment import Parameter
from yolosweep.records.summary import Summary, TrialSummary
from yolosweep.records.trial_columns import setting_text
from yolosweep.records.verdict import Outcome
from yolosweep.report.figures import Figure, drawn_trials, inner, rounded

__all__ = ["parallel", "stands_out"]

_MANY, _NAME = 13, 16
"""More axes than this are drawn closer, their names at an angle; choices with longer names are shortened."""
_BEST_SHARE = 0.25
"""Share of trials that stand out if the defaults have no score to compare with."""


def parallel(summary: Summary, space: Mapping[str, Parameter]) -> Figure:
    """Return one line per drawn trial; the best is at the top of the last axis in both modes."""
    drawn = set(drawn_trials(summary))
    scored = [(score, trial) for score, trial in _worst_first(summary) if trial.trial in drawn]
    worst, best = (scored[0][0], scored[-1][0]) if scored else (0.0, 1.0)
    axes = [_Axis(name, parameter, [t.parameters.get(name) for _, t in scored]) for name, parameter in space.items()]
    out = stands_out(summary)
    data = []
    for score, trial in scored:
        share = (score - worst) / (best - worst) if best != worst else 1.0
        heights = [rounded(axis.height(trial.parameters.get(axis.name), share)) for axis in axes]
        role = _role(trial, summary.best_trial, out)
        data.append((role, _line(trial, score, [*heights, rounded(share)], role, len(scored))))
    data.sort(key=lambda pair: ("rest", "good", "base", "best").index(pair[0]))
    labels = [label for index, axis in enumerate(axes) for label in axis.labels(index)]
    labels += _ends(len(axes), f"{worst:.4f}", f"{best:.4f}")
    names = [*(f"<b>{inner(axis.name)}</b>" for axis in axes), "<b>score</b>"]
    layout = {
        "xaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.6, len(names) - (0.6 if len(names) <= _MANY else 0.0)],  # a name at an angle needs room
            "side": "top",
            "showline": False,
            "showgrid": False,
            "fixedrange": True,
            "tickangle": -35 if len(names) > _MANY else 0,
        },
        "yaxis": {"visible": False, "range": [-0.09, 1.09], "fixedrange": True},
        "shapes": [_rule(index) for index in range(len(names))],
        "annotations": labels,
        "height": 420,
    }
    return {"data": [line for _, line in data], "layout": layout}


def _worst_first(summary: Summary) -> list[tuple[float, TrialSummary]]:
    """Return the trials that have a score, and the score."""
    scored = [(trial.score, trial) for trial in summary.scored if trial.score is not None]
    sign = 1 if summary.mode == "max" else -1
    return sorted(scored, key=lambda pair: sign * pair[0])


def stands_out(summary: Summary) -> set[str]:
    """Return the trials that beat trial 0 by more than val is wrong about, or the best quarter without a trial 0.

    None stands out where nothing was learned.
    """
    verdict = summary.verdict
    if verdict.outcome is Outcome.NOT_LEARNED:
        return set()
    if summary.baseline_score is not None:
        least = verdict.resolution or 0.0
        return {trial.trial for trial in summary.scored if trial.gain is not None and trial.gain > least}
    scored = [trial.trial for _, trial in reversed(_worst_first(summary))]
    return set(scored[: math.ceil(len(scored) * _BEST_SHARE)])


def _role(trial: TrialSummary, best: str | None, out: set[str]) -> str:
    if trial.trial == best:
        return "best"
    if trial.number == 0:
        return "base"
    return "good" if trial.trial in out else "rest"


def _line(trial: TrialSummary, score: float, heights: list[float | None], role: str, lines: int) -> dict[str, Any]:
    """Return one trial's line through all axes; the more lines there are, the fainter the unremarkable ones."""
    settings = "<br>".join(f"{inner(name)} = {inner(value)}" for name, value in trial.parameters.items())
    faint = max(0.22, min(0.7, 14 / lines))
    return {
        "type": "scatter",
        "mode": "lines",
        "x0": 0,
        "dx": 1,
        "y": heights,
        "line": {"color": "--best" if role == "good" else f"--{role}", "width": 3 if role in ("best", "base") else 1.4},
        "opacity": {"rest": faint, "good": min(1.0, faint + 0.15)}.get(role, 1.0),
        "text": f"<b>{trial.trial}</b> {score:.4f}<br>{settings}",
        "hovertemplate": "%{text}<extra></extra>",
    }


class _Axis:
    """One vertical axis: maps a value to a height between 0 and 1."""

    def __init__(self, name: str, parameter: Parameter, used: Sequence[Any]) -> None:
        self.name, self._log = name, parameter.is_log
        self._choices: dict[str, Any] = {}
        if parameter.kind == "categorical":
            self._choices = {repr(value): value for value in (*parameter.corners(), *used) if value is not None}
            return
        numbers = [*parameter.corners(), *(value for value in used if isinstance(value, (int, float)))]
        numbers = [number for number in numbers if number > 0] if self._log else numbers
        self._low, self._high = min(numbers), max(numbers)

    def height(self, value: Any, share: float) -> float | None:
        """Return the height of a value; lines of one choice are spread a little, better trials higher."""
        if self._choices:
            if repr(value) not in self._choices:
                return None
            return (list(self._choices).index(repr(value)) + 0.5 + (share - 0.5) * 0.5) / len(self._choices)
        if not isinstance(value, (int, float)) or (self._log and value <= 0):
            return None
        low, high = self._scale(self._low), self._scale(self._high)
        return (self._scale(value) - low) / (high - low)

    def _scale(self, value: float) -> float:
        return math.log10(value) if self._log else float(value)

    def labels(self, index: int) -> list[dict[str, Any]]:
        if not self._choices:
            return _ends(index, inner(self._low), inner(self._high))
        count = len(self._choices)
        middle = {"xanchor": "right", "xshift": -5, "bgcolor": "--card", "opacity": 0.85}
        return [
            _label(index, (place + 0.5) / count, inner(_short(value)), **middle)
            for place, value in enumerate(self._choices.values())
        ]


def _short(value: Any) -> Any:
    """Return a choice as an axis has room for it; the line's own text has the whole name."""
    text = setting_text(value)
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"


def _ends(index: int, low: str, high: str) -> list[dict[str, Any]]:
    """Return the labels below and above an axis, outside the lines."""
    return [_label(index, 0.0, low, yanchor="top", yshift=-4), _label(index, 1.0, high, yanchor="bottom", yshift=4)]


def _label(index: int, height: float, text: str, **anchor: Any) -> dict[str, Any]:
    return {
        "x": index,
        "y": height,
        "text": text,
        "showarrow": False,
        "font": {"size": 11, "color": "--soft"},
        **anchor,
    }


def _rule(index: int) -> dict[str, Any]:
    return {
        "type": "line",
        "layer": "below",
        "x0": index,
        "x1": index,
        "y0": 0,
        "y1": 1,
        "line": {"color": "--axis", "width": 1.5},
    }
