"""The score is suspiciously perfect: validation images may be among the training images."""

from __future__ import annotations

from yolosweep.diagnosis.observed_training import Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_BOXES, _CLEARLY = 0.95, 0.98
"""mAP50-95: boxes of people differ from each other by more than this allows."""
_ACCURACY = 0.998


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis where scores are better than labels of people allow."""
    score, name = training.score, training.score_name or ""
    if not len(score):
        return None
    most = _ACCURACY if "accuracy" in name else _BOXES if "50-95" in name else 2.0
    if score.end < most:
        return None
    clearly = "50-95" in name and score.end >= _CLEARLY
    return Diagnosis(
        code="leakage",
        confidence=Confidence.MEDIUM if clearly else Confidence.LOW,
        sentence=f"Suspiciously perfect: {name.removeprefix('metrics/')} is {score.end:.3f} at the end; such scores "
        "come from validation images that are also in train, or from a set that is too easy.",
        evidence={"score": score.end, "threshold": most, "first_epoch": score.values[0]},
        changes=(
            Change(key="data", how="look for images in two splits: yolosweep check DATA; split again: yolosweep split"),
        ),
    )
