"""The best trials share a small region of the space, and some parameters make no difference."""

from __future__ import annotations

from typing import Any

from yolosweep.diagnosis.checks.space_edge import edge_of
from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_FEWEST = 15
_BEST = 0.25
_MATTERS = 0.2
"""Share of the importance from which a parameter's range is narrowed."""
_NARROW = 0.6
"""Widest region, as a share of the range, that is worth a smaller range."""
_MARGIN = 0.1
_DEAD = 0.05
"""Share of the importance below which a parameter may be fixed, and the z value below which it is."""
_CHANCE = 1.0
_KEPT = 2
"""Parameters that stay searched at least."""


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis: ranges to narrow, and parameters to fix at the best trial's value."""
    if len(sweep.comparable) < _FEWEST or not sweep.importance.shares:
        return None
    narrowed, dead = _narrowed(sweep), _dead(sweep)
    if not narrowed and not dead:
        return None
    parts = []
    if narrowed:
        parts.append("the best quarter shares a region of " + ", ".join(c.key.rpartition(".")[2] for c in narrowed))
    if dead:
        parts.append("without visible effect: " + ", ".join(c.key.rpartition(".")[2] for c in dead))
    return Diagnosis(
        code="space-region",
        confidence=Confidence.HIGH if len(sweep.comparable) >= 3 * _FEWEST else Confidence.MEDIUM,
        sentence=f"Smaller space: of {len(sweep.comparable)} comparable trials, {'; '.join(parts)}.",
        evidence={f"importance_{name}": share for name, share in sweep.importance.shares.items()},
        changes=(*narrowed, *dead),
    )


def _narrowed(sweep: Sweep) -> list[Change]:
    top = sweep.comparable[: max(5, round(_BEST * len(sweep.comparable)))]
    changes = []
    for name, axis in sweep.axes.items():
        positions = sweep.positions(name, top)
        share = sweep.importance.shares.get(name, 0.0)
        if len(positions) < len(top) or share < _MATTERS or edge_of(sweep, name) is not None:
            continue
        low, high = max(0.0, min(positions) - _MARGIN), min(1.0, max(positions) + _MARGIN)
        if high - low <= _NARROW and high > low:
            low_value, high_value = axis.value(min(positions)), axis.value(max(positions))
            how = (
                f"the best {len(top)} trials have {name} from {low_value:.3g} to {high_value:.3g} "
                f"(importance {share:.2f})"
            )
            changes.append(Change(key=f"search.parameters.{name}", value=axis.range(low, high), how=how))
    return changes


def _short(value: Any) -> Any:
    """Return a value as people would write it: more than four digits of a sampled number mean nothing."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _condition(sweep: Sweep, name: str) -> dict[str, Any]:
    return {"when": dict(when)} if (when := sweep.axes[name].when) else {}


def _dead(sweep: Sweep) -> list[Change]:
    best = sweep.comparable[0]
    dead = [
        name
        for name in sweep.axes
        if name in best.parameters
        and sweep.importance.shares.get(name, 1.0) < _DEAD
        and max(abs(sweep.association(name)), sweep.closeness(name)) < _CHANCE
    ]
    free = max(0, len(sweep.searched) - _KEPT)
    return [
        Change(
            key=f"search.parameters.{name}",
            value={"value": _short(best.parameters[name]), **_condition(sweep, name)},
            how=f"no visible effect (importance {sweep.importance.shares[name]:.2f}): fixed at {best.name}'s value",
        )
        for name in dead[:free]
    ]
