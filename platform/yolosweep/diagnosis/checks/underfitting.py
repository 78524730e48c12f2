"""The score settled low, and the model does not fit the training images well either."""

from __future__ import annotations

import re
from pathlib import PurePath

from yolosweep.diagnosis.checks.not_learning import ZERO
from yolosweep.diagnosis.checks.overfitting import generalization
from yolosweep.diagnosis.checks.still_rising import check as still_rising
from yolosweep.diagnosis.observed_training import Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["bigger", "check"]

_LOW, _VERY_LOW = 0.5, 0.3
"""mAP50."""
_LOW_ACCURACY = 0.6
_STRICT = 0.35
"""mAP50-95 above which a low mAP50 would be odd."""
_FEWEST = 3
_SIZES = "nsmlx"


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis where a plateau is low and nothing points at overfitting."""
    level, score = training.loose_score.end, training.score
    low = _LOW_ACCURACY if "accuracy" in (training.score_name or "") else _LOW
    if len(score) < _FEWEST or training.peak < ZERO or level >= low or (score.end >= _STRICT and level != score.end):
        return None
    found = generalization(training)
    if found.rises or found.decays or found.gapes or still_rising(training) is not None:
        return None
    train = training.train_loss
    loss = f", with a training loss of {train.end:.3g}" if len(train) else ""
    if len(train) and train.values[0] > train.end > 0:
        loss += f" that fell by {1 - train.end / train.values[0]:.0%}"
    sure = level < _VERY_LOW and len(score) >= 20
    return Diagnosis(
        code="underfitting",
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM if len(score) >= 10 else Confidence.LOW,
        sentence=f"Underfitting: the score settled at {score.end:.3g} since epoch {training.plateau_epoch}{loss}.",
        evidence={"score": score.end, "level": level, "train_loss": train.end if len(train) else None},
        changes=(
            *bigger(training),
            Change(key="train.epochs", how="or train twice as long"),
            Change(key="train.imgsz", how="or use larger images, where objects are small"),
            Change(key="data", how="check the labels: yolosweep check DATA"),
        ),
    )


def bigger(training: Training) -> tuple[Change, ...]:
    """Return the change to the next model size, where the model's name has one."""
    name = str(training.settings.get("model", ""))
    found = re.fullmatch(r"(yolov?\d+)([nsmlx])([-.][A-Za-z0-9.-]*)?", PurePath(name).name)
    if found is None:
        return (Change(key="model", how="a bigger model"),)
    if found[2] == _SIZES[-1]:
        return ()
    size = _SIZES[_SIZES.index(found[2]) + 1]
    new = f"{found[1]}{size}{found[3] or ''}"
    return (Change(key="model", value=new, how=f"a bigger model: size {size} instead of {found[2]}"),)
