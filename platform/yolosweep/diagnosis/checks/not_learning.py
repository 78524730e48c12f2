"""The score never left zero or chance: missing labels, wrong classes, or a learning rate far off."""

from __future__ import annotations

from yolosweep.diagnosis.observed_training import Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["ZERO", "check"]

ZERO = 0.01
"""A score below this is nothing: fresh models reach it by luck."""
_SOON = 8
_FEW = 12
"""Epochs that a model from scratch may need before its first detection, whatever its loss does, and if it falls."""
_FLAT = 0.03
"""Change of a loss or of an accuracy that is no learning."""


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis where a model has learned nothing."""
    score, loss = training.score, training.train_loss
    if not len(score) or (score.peak >= ZERO and not _stuck(training)):
        return None
    first, last = (loss.values[0], loss.end) if len(loss) else (0.0, 0.0)
    fall = 1 - last / first if first else 0.0
    unlabelled = _no_boxes(training)
    begins = len(score) < 2 * _FEW and score.trend[0] > 0.2 * score.end and score.trend[1] >= 3
    soon = score.peak < ZERO and len(score) < _SOON
    if (soon or ((len(score) < _FEW or begins) and fall > _FLAT)) and not unlabelled:
        return None  # too soon: still-rising says so
    what = (
        "the box losses are 0, so no label counted: none was found, or all boxes are too small at this imgsz"
        if unlabelled
        else f"the training loss went from {first:.3g} to {last:.3g}"
    )
    sure = unlabelled or (score.peak < ZERO and len(score) >= 2 * _FEW)
    return Diagnosis(
        code="not-learning",
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
        sentence=f"Not learning: the best score of {len(score)} epochs is {max(score.values):.3g}, and {what}.",
        evidence={"best_score": max(score.values), "epochs": len(score), "train_loss_fall": fall},
        changes=(
            Change(key="data", how="check the labels first: yolosweep check DATA"),
            *(
                [Change(key="train.imgsz", how="train on larger images if boxes are a few pixels wide")]
                if unlabelled
                else []
            ),
            Change(key="model", how="start from trained weights (.pt) instead of a .yaml"),
            Change(key="search.parameters.lr0", how="search the learning rate over several powers of ten"),
        ),
    )


def _stuck(training: Training) -> bool:
    """Return whether an accuracy stays at its first value while the loss does not fall: chance."""
    score, loss = training.score, training.train_loss
    if len(score) < 5 or len(loss) < 5 or "accuracy" not in (training.score_name or ""):
        return False
    later = score.smooth[max(1, len(score) // 5) :]
    still = max(later) - min(later) < _FLAT and max(score.values) < 0.9
    return still and loss.end > (1 - _FLAT) * loss.values[0]


def _no_boxes(training: Training) -> bool:
    """Return whether the box losses are zero from the start, as without any label."""
    boxes = training.curve("train/box_loss")
    return len(boxes) > 0 and max(boxes.values) == 0
