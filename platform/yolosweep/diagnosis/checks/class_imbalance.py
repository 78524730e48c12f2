"""One class is rare and poorly detected, or another dominates."""

from __future__ import annotations

import statistics

from yolosweep.diagnosis.checks import still_rising
from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_RARE = 5.0
"""Objects of the most frequent class over those of a rare one."""
_POOR = 0.5
"""Score of a class, as a share of the median of the others."""
_ZERO = 0.05
_ENOUGH = 30
"""Objects from which on a class is found in time."""


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis for the class that is worst, if it is rare as well."""
    counts, names = sweep.dataset.instances.get("train", {}), sweep.dataset.names
    if len(sweep.per_class) < 2 or len(counts) < 2:
        return None
    by_name = {names.get(number, str(number)): count for number, count in counts.items()}
    most_name, most = max(by_name.items(), key=lambda pair: pair[1])
    name, score = min(sweep.per_class.items(), key=lambda pair: pair[1])
    others = statistics.median(value for other, value in sweep.per_class.items() if other != name)
    count = by_name.get(name, 0)
    ratio = most / count if count else float(most)
    if ratio < _RARE or score >= max(_ZERO, _POOR * others):
        return None
    if count >= _ENOUGH and sweep.best is not None and still_rising.check(sweep.best.training) is not None:
        return None  # the classes with fewer objects are found later
    balance = sweep.settings.get("balance", 0)
    how = f"{name} has {count} objects in train and {most_name} {most}: show its images more often"
    change = Change(key="train.balance", value=0.5, how=how)
    return Diagnosis(
        code="class-imbalance",
        confidence=Confidence.HIGH if score < _ZERO or ratio >= 4 * _RARE else Confidence.MEDIUM,
        sentence=f"Class imbalance: {name} scores {score:.3f}, the other classes {others:.3f} in the median; it has "
        f"{count} objects in train, {most_name} has {most}.",
        evidence={"class_score": score, "median_of_others": others, "objects": count, "most_objects": most},
        changes=(
            *((change,) if not balance and "balance" not in sweep.searched else ()),
            Change(key="data", how=f"label more images with {name}"),
        ),
    )
