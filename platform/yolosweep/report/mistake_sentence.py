"""What the winner gets wrong, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from yolosweep.records.events import Winner
from yolosweep.records.trial_columns import short_metric

__all__ = ["mistakes_of"]

_PLURAL = {"missed": "missed", "false positive": "false positives", "wrong class": "in the wrong class"}


def mistakes_of(winner: Winner) -> str | None:
    """Return the counts by kind and the weakest class on val; None where neither is known."""
    counts, weakest = _counts(winner.mistakes.get("val", {})), _weakest(winner)
    known = [part for part in (counts, weakest) if part is not None]
    return f"{'; '.join(known)}." if known else None


def _counts(found: Mapping[str, int]) -> str | None:
    wrong = [f"{count} {_PLURAL.get(kind, kind)}" for kind, count in found.items() if kind != "labels" and count]
    if not found:
        return None
    return f"on val {', '.join(wrong) or 'nothing'}, of {found.get('labels', 0)} labels"


def _weakest(winner: Winner) -> str | None:
    """Return the class with the lowest score, and what the others have."""
    classes = winner.validations["val"].per_class if "val" in winner.validations else {}
    metrics = [winner.metric, "metrics/mAP50-95(B)"]
    scores = {
        name: value
        for name, each in classes.items()
        if (value := next((each[metric] for metric in metrics if each.get(metric) is not None), None)) is not None
    }
    if len(set(scores.values())) < 2:
        return None  # one class, or none that is weaker
    name = min(scores, key=lambda one: scores[one])
    others = median(score for other, score in scores.items() if other != name)
    metric = short_metric(winner.metric)
    return f"weakest class {name}, {metric} {scores[name]:.4f} (median of the others {others:.4f})"
