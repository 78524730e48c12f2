"""The model goes on learning the training images, and no longer what holds for others."""

from __future__ import annotations

from dataclasses import dataclass

from yolosweep.diagnosis.checks.not_learning import ZERO
from yolosweep.diagnosis.observed_training import Curve, Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["Generalization", "check", "generalization"]

_RISE = 0.08
"""Rise of the validation loss since the score stopped rising; less is within what calibration does to it."""
_STEEP = 0.2
_LOST = 0.05
"""Share of the peak that the score has lost at the end."""
_FALL = 0.03
"""Fall of the training loss that shows that learning went on."""
_GAP = 1.7
"""Validation loss over training loss. Mosaic makes training images harder, so healthy trainings have about 1."""
_SPAN = 0.15
"""Share of the epochs that a rise must last."""
_FEWEST = 6


@dataclass(frozen=True, kw_only=True)
class Generalization:
    """What happened on unseen images since the model was best on them."""

    val_rise: float
    """Rise of the validation loss since both its minimum and the start of the score's plateau."""
    val_rise_from_minimum: float
    train_fall: float
    """Fall of the training loss since then."""
    since: int
    """The epoch it is counted from."""
    span: float
    """Share of the epochs since then."""
    score_lost: float
    """Share of the score's peak that is lost at the end, scatter left out."""
    gap: float | None
    """Validation loss over training loss at the end."""
    train_fall_in_all: float
    """Fall of the training loss since the first epoch."""

    @property
    def rises(self) -> bool:
        """Whether the validation loss rises while the score no longer does and the training loss falls."""
        return self.val_rise >= _RISE and self.train_fall >= _FALL and self.span >= _SPAN

    @property
    def decays(self) -> bool:
        """Whether the score fell while the training loss fell, and the validation loss agrees."""
        slowly = self.score_lost >= _LOST / 2 and self.val_rise >= _RISE / 2
        fell = slowly or (self.score_lost >= _LOST and self.val_rise_from_minimum >= 0.01)
        return fell and self.train_fall >= _FALL

    @property
    def gapes(self) -> bool:
        """Whether the model fits the training images far better than the others."""
        return self.gap is not None and self.gap >= _GAP and self.train_fall_in_all >= 0.4


def generalization(training: Training) -> Generalization:
    """Return what the curves say about unseen images."""
    val, train, score = training.val_loss, training.train_loss, training.score
    minimum = val.smooth.index(min(val.smooth)) if len(val) else 0
    start = max(val.epochs[minimum] if len(val) else 0, training.plateau_epoch)
    last = training.rows[-1].epoch
    return Generalization(
        val_rise=_change(val, start),
        val_rise_from_minimum=val.end / val.smooth[minimum] - 1 if len(val) and val.smooth[minimum] > 0 else 0.0,
        train_fall=-_change(train, min(start, _peak_epoch(score))),
        since=start,
        span=(last - start) / max(1, last),
        score_lost=score.lost if score.peak - score.end > 2 * score.noise else 0.0,
        gap=val.end / train.end if len(val) and len(train) and train.end > 0 else None,
        train_fall_in_all=1 - train.end / train.values[0] if len(train) and train.values[0] > 0 else 0.0,
    )


def _peak_epoch(score: Curve) -> int:
    return score.epochs[score.smooth.index(score.peak)] if len(score) else 0


def _change(curve: Curve, since: int) -> float:
    """Return the relative change from an epoch to the end."""
    if not len(curve):
        return 0.0
    before = curve.smooth[curve.index_of(since)]
    return curve.end / before - 1 if before > 0 else 0.0


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis; a validation loss that rises while the score still does is none."""
    if len(training.score) < _FEWEST or training.peak < ZERO:
        return None
    found = generalization(training)
    if not (found.rises or found.decays or (found.gapes and training.loose_score.end < 0.6)):
        return None
    facts = [
        text
        for applies, text in (
            (found.rises, f"the validation loss rose by {found.val_rise:.0%} since epoch {found.since}"),
            (found.decays, f"the score lost {found.score_lost:.0%} of its peak of {training.peak:.3g}"),
            (found.gapes, f"the validation loss is {found.gap or 0:.1f} times the training loss"),
        )
        if applies
    ]
    steep = found.val_rise >= _STEEP or (found.rises and found.decays)
    confidence = Confidence.HIGH if steep else Confidence.MEDIUM if found.rises or found.decays else Confidence.LOW
    return Diagnosis(
        code="overfitting",
        confidence=confidence,
        sentence=f"Overfitting: {', and '.join(facts)}, while the training loss fell by {_fall(found):.0%}.",
        evidence={
            "val_loss_rise": found.val_rise,
            "train_loss_fall": _fall(found),
            "score_lost": found.score_lost,
            "val_over_train_loss": found.gap,
            "since_epoch": found.since,
        },
        changes=_changes(training),
    )


def _fall(found: Generalization) -> float:
    return found.train_fall if found.rises or found.decays else found.train_fall_in_all


def _changes(training: Training) -> tuple[Change, ...]:
    patience = training.settings.get("patience")
    long = not isinstance(patience, int) or patience > 30 or not patience
    return (
        *((Change(key="train.patience", value=20, how="stop 20 epochs after the last gain"),) if long else ()),
        training.scaled("weight_decay", 3, "raise the weight decay threefold", most=0.05),
        Change(key="train.mixup", value=0.1, how="augment more: mixup, scale, or a pipeline under augmentations"),
        Change(key="data", how="add training images: nothing else helps as much"),
    )
