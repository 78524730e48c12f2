"""The pictures of a report, as plain Plotly figures (``data`` and ``layout``), ready to become JSON.

Parallel coordinates are drawn as ordinary lines: Plotly's own trace needs WebGL and evaluates code, which the page's
content policy forbids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from yolosweep.experiment import Parameter
from yolosweep.history import History

__all__ = ["curves", "parallel", "scatters"]

BEST, BASE, REST = "#0f8a6d", "#c2572b", "rgba(130,140,155,0.45)"
_COLOURS = {
    "finished": "#3367b0",
    "patience": "#7a5bb5",
    "pruned": "#9aa3af",
    "cancelled": "#b9973a",
    "diverged": "#b3383f",
    "oom": "#b3383f",
    "failed": "#b3383f",
    "running": "#3fa7a0",
}
_SYMBOLS = {"pruned": "x", "cancelled": "triangle-down", "diverged": "cross", "oom": "cross", "failed": "cross"}

Figure = dict[str, Any]


def curves(history: History, told: Mapping[str, Any]) -> Figure:
    """Return score per epoch of every trial, the winner and the defaults on top."""
    data = []
    best = told["best_trial"]
    order = sorted(history.trials.values(), key=lambda t: (t.request.trial == best, t.request.number == 0))
    for trial in order:
        name, number = trial.request.trial, trial.request.number
        colour = BEST if name == best else BASE if number == 0 else REST
        label = f"{name} (best)" if name == best else f"{name} (defaults)" if number == 0 else name
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(trial.rows) < 3 else "lines",
                "x": [row.epoch for row in trial.rows],
                "y": [row.score for row in trial.rows],
                "name": label,
                "showlegend": name == best or number == 0,
                "line": {"color": colour, "width": 2.5 if colour != REST else 1.2},
                "hovertemplate": f"{label}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
            }
        )
    return {
        "data": data,
        "layout": {"xaxis": {"title": {"text": "epoch"}}, "yaxis": {"title": {"text": told["metric"]}}},
    }


def parallel(told: Mapping[str, Any], space: Mapping[str, Parameter]) -> Figure:
    """Return one line per scored trial across all searched parameters and the score."""
    axes = [_Axis(name, parameter) for name, parameter in space.items()]
    scored = [trial for trial in told["trials"] if trial["score"] is not None]
    scores = [trial["score"] for trial in scored]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    sign = 1 if told["mode"] == "max" else -1
    data = []
    for trial in sorted(scored, key=lambda t: sign * t["score"]):
        share = (trial["score"] - low) / (high - low) if high > low else 1.0
        heights = [*(axis.height(trial["parameters"].get(axis.name)) for axis in axes), share]
        data.append(_line(trial, heights, _shade(share if sign > 0 else 1 - share)))
    labels = [label for index, axis in enumerate(axes) for label in axis.labels(index)]
    labels += [_label(len(axes), 0.0, f"{low:.3f}"), _label(len(axes), 1.0, f"{high:.3f}")]
    names = [*(axis.name for axis in axes), "score"]
    layout = {
        "xaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.3, len(names) - 0.5],
            "showgrid": True,
        },
        "yaxis": {"visible": False, "range": [-0.08, 1.08]},
        "annotations": labels,
    }
    return {"data": data, "layout": layout}


def scatters(told: Mapping[str, Any], space: Mapping[str, Parameter]) -> list[tuple[str, Figure]]:
    """Return one figure per parameter: score against its value as really used."""
    figures = []
    for name, parameter in space.items():
        data = []
        for ending in dict.fromkeys(trial["ending"] for trial in told["trials"]):
            chosen = [t for t in told["trials"] if t["ending"] == ending and t["score"] is not None]
            if not chosen:
                continue
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [_plain(t["parameters"].get(name)) for t in chosen],
                    "y": [t["score"] for t in chosen],
                    "name": ending,
                    "text": [t["trial"] for t in chosen],
                    "hovertemplate": "%{text}: %{y:.4f}<br>" + name + "=%{x}<extra></extra>",
                    "marker": {
                        "color": _COLOURS.get(ending, BEST),
                        "size": 9,
                        "symbol": _SYMBOLS.get(ending, "circle"),
                    },
                }
            )
        kind = "log" if parameter.is_log else "category" if parameter.kind == "categorical" else "-"
        axis: dict[str, Any] = {"title": {"text": name}, "type": kind, "exponentformat": "e"}
        if kind == "category":
            axis["categoryorder"] = "array"
            axis["categoryarray"] = [_plain(value) for value in parameter.corners()]
        layout = {"xaxis": axis, "yaxis": {"title": {"text": "score"}}}
        figures.append((name, {"data": data, "layout": layout}))
    return figures


def _line(trial: Mapping[str, Any], heights: list[float | None], colour: str) -> dict[str, Any]:
    """Return one trial's line through all axes."""
    settings = "<br>".join(f"{name}={_short(value)}" for name, value in trial["parameters"].items())
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(range(len(heights))),
        "y": heights,
        "line": {"color": colour, "width": 2, "shape": "spline", "smoothing": 0.6},
        "showlegend": False,
        "text": [f"{trial['trial']}: {trial['score']:.4f}<br>{settings}"] * len(heights),
        "hovertemplate": "%{text}<extra></extra>",
    }


class _Axis:
    """One vertical axis of the parallel coordinates: where a value stands between 0 and 1."""

    def __init__(self, name: str, parameter: Parameter) -> None:
        self.name, self._parameter = name, parameter
        self._choices = [repr(v) for v in parameter.corners()] if parameter.kind in ("categorical", "constant") else []

    def height(self, value: Any) -> float | None:
        if self._choices:
            place = self._choices.index(repr(value)) if repr(value) in self._choices else None
            return None if place is None else (place + 0.5) / len(self._choices)
        if not isinstance(value, (int, float)):
            return None
        low, high = (self._scale(corner) for corner in self._parameter.corners())
        return min(1.0, max(0.0, (self._scale(value) - low) / (high - low)))

    def _scale(self, value: float) -> float:
        return math.log10(value) if self._parameter.is_log and value > 0 else float(value)

    def labels(self, index: int) -> list[dict[str, Any]]:
        if self._choices:
            shown = self._parameter.corners()
            return [_label(index, (i + 0.5) / len(shown), _short(v)) for i, v in enumerate(shown)]
        low, high = self._parameter.corners()
        return [_label(index, 0.0, _short(low)), _label(index, 1.0, _short(high))]


def _label(index: int, height: float, text: str) -> dict[str, Any]:
    return {
        "x": index,
        "y": height,
        "text": text,
        "showarrow": False,
        "xanchor": "right",
        "xshift": -6,
        "font": {"size": 11},
    }


def _shade(share: float) -> str:
    """Return a colour from grey (worst) to green (best)."""
    worst, best = (176, 184, 196), (15, 138, 109)
    mixed: Sequence[int] = [round(a + (b - a) * share) for a, b in zip(worst, best, strict=True)]
    return f"rgba({mixed[0]},{mixed[1]},{mixed[2]},{0.45 + 0.5 * share:.2f})"


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
