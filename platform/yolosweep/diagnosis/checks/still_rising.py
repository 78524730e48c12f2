"""The training stopped too soon: the score was still rising."""

from __future__ import annotations

import statistics

from yolosweep.diagnosis.checks.not_learning import ZERO
from yolosweep.diagnosis.checks.not_learning import check as nothing_learned
from yolosweep.diagnosis.observed_training import Curve, Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["FEWEST", "check"]

_RISING = 0.04
"""Rise over the last fifth of the epochs, as a share of the score at the end."""
_SLOWLY = 0.03
"""The same, where the validation loss still falls."""
_SHORT, _SHORTLY = 15, 0.025
"""The same, for trainings of fewer epochs: a fifth of them is one or two."""
_INTERRUPTED = 0.015
"""The same, where the schedule was not completed: the learning rate was still high, and falling rates bring gains."""
FEWEST = 3
"""Epochs; fewer are too few to judge a training."""
_EARLY = 0.2
"""Share of the schedule that is left where a training was interrupted."""


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis where further epochs would have raised the score."""
    score, epochs = training.score, len(training.rows)
    if not len(score) or training.stopped:
        return None
    ahead, certainty = score.trend
    rise = ahead / score.end if score.end > 0 else 0.0
    left = training.schedule_left
    early = left is not None and left >= _EARLY and not _waited(training)
    begun = score.peak < ZERO and nothing_learned(training) is None
    before = score.smooth[: -max(1, round(0.3 * len(score)))]
    at_its_peak = score.end >= (1 + 0.4 * rise) * max(before, default=0.0) and _still_climbs(score)
    val_falls = _falls(training)
    enough = rise >= (_INTERRUPTED if early else _SHORTLY if epochs < _SHORT else _SLOWLY if val_falls else _RISING)
    if not (epochs < FEWEST or begun or (enough and certainty >= (2 if epochs >= 30 else 1.5) and at_its_peak)):
        return None
    return Diagnosis(
        code="still-rising",
        confidence=_confidence(epochs, rise, early),
        sentence=_sentence(training, rise, left if early else None),
        evidence={"rise_over_last_fifth": rise, "epochs": epochs, "score": score.end, "schedule_left": left},
        changes=(_longer(training, early),),
    )


def _still_climbs(score: Curve) -> bool:
    """Return whether the last tenth is above the one before: a line through a late plateau rises, too."""
    tenth = max(2, len(score) // 10)
    last, before = score.values[-tenth:], score.values[-2 * tenth : -tenth]
    return len(score) < 10 or statistics.fmean(last) >= statistics.fmean(before)


def _waited(training: Training) -> bool:
    """Return whether early stopping explains the end: the best epoch is long ago."""
    score = training.score
    best = score.epochs[score.values.index(max(score.values))]
    return score.epochs[-1] - best >= min(20, max(5, len(score) // 4))


def _falls(training: Training) -> bool:
    loss = training.val_loss
    return bool(loss.values) and loss.end > 0 and loss.trend[0] / loss.end <= -0.03 and loss.trend[1] <= -2


def _confidence(epochs: int, rise: float, early: bool) -> Confidence:
    if epochs < FEWEST:
        return Confidence.LOW
    return Confidence.HIGH if epochs >= 5 and (rise >= 2 * _RISING or early) else Confidence.MEDIUM


def _sentence(training: Training, rise: float, left: float | None) -> str:
    epochs, score = len(training.rows), training.score
    if epochs < FEWEST:
        return f"Stopped too soon: {epochs} epoch{'s are' if epochs > 1 else ' is'} too few to judge a training."
    if score.peak < ZERO:
        return f"Stopped too soon: after {epochs} epochs the score is {score.end:.3g}; the first detections come later."
    schedule = "" if left is None else f" {left:.0%} of the learning rate's schedule was left."
    return (
        f"Still rising: the smoothed score grew by {rise:.0%} over the last fifth of {epochs} epochs, "
        f"to {score.end:.3g}.{schedule}"
    )


def _longer(training: Training, early: bool) -> Change:
    epochs, planned = len(training.rows), training.planned_epochs
    if early and planned:
        return Change(key="train.epochs", value=planned, how=f"train the {planned} epochs that were planned")
    new = 2 * epochs if training.trial else max(2 * epochs, 30)  # trials of a sweep are short on purpose
    return Change(key="train.epochs", value=new, how=f"train about {new} epochs instead of {planned or epochs}")
