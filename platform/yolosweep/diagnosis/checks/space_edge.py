"""The best trials are at the edge of the space: the optimum may be outside of it."""

from __future__ import annotations

import statistics

from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check", "edge_of"]

_FEWEST = 8
_EDGE, _NEAR = 0.1, 0.2
"""Distance from the edge of the best trial, and of the median of the best ones, as a share of the range."""
_BEST = 0.2
"""Share of the comparable trials that count as the best, at least three."""
_CHANCE = 1.6
"""Least z value of the rank correlation: below, being at the edge is chance."""


def edge_of(sweep: Sweep, name: str) -> float | None:
    """Return the edge that the best trials crowd: 0 is the low end, 1 the high one. None if they do not."""
    top = sweep.comparable[: max(3, round(_BEST * len(sweep.comparable)))]
    positions = sweep.positions(name, top)
    if len(sweep.comparable) < _FEWEST or len(positions) < len(top):
        return None
    edge = float(positions[0] > 0.5)
    away = [abs(edge - position) for position in positions]
    correlated = sweep.association(name) * (1 if edge else -1)
    return edge if away[0] <= _EDGE and statistics.median(away) <= _NEAR and correlated >= _CHANCE else None


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis, with each such range moved by half of its width."""
    edges = {name: edge for name in sweep.axes if (edge := edge_of(sweep, name)) is not None}
    changes: list[Change] = []
    evidence: dict[str, float | None] = {}
    listed: list[str] = []
    for name, edge in edges.items():
        axis, value = sweep.axes[name], sweep.comparable[0].parameters[name]
        span = axis.range(edge - 0.5, edge + 0.5)
        limit = axis.high if edge else axis.low
        if (edge == 1 and span["max"] <= axis.high) or (edge == 0 and span["min"] >= axis.low):
            continue  # the edge is where the argument ends
        listed.append(f"{name}={value:.3g} ({'at most' if edge else 'at least'} {limit:g} was allowed)")
        evidence[f"{name}_position"] = axis.position(float(value))
        how = f"the best trials have {name} near {limit:g}, the {'upper' if edge else 'lower'} end of the range"
        changes.append(Change(key=f"search.parameters.{name}", value=span, how=how))
    if not changes:
        return None
    return Diagnosis(
        code="space-edge",
        confidence=Confidence.HIGH if len(sweep.comparable) >= 20 else Confidence.MEDIUM,
        sentence=f"Edge of the space: the best trials are at the end of a range: {', '.join(listed)}.",
        evidence=evidence,
        changes=tuple(changes),
    )
