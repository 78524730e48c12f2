"""Nothing is wrong: the score settled, and what was learned holds for unseen images."""

from __future__ import annotations

from yolosweep.diagnosis.observed_training import Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_LONG = 0.5
"""Share of the epochs after the plateau began from which a training is longer than needed."""


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis of a training in which no other check found anything."""
    score, epochs = training.score, len(training.rows)
    if not len(score) or training.stopped:
        return None
    since = training.plateau_epoch
    late = epochs >= 50 and since < _LONG * training.rows[-1].epoch
    loss = training.val_loss
    least = min(loss.smooth, default=0.0)
    steady = f", and the validation loss ended at {loss.end / least:.2f} times its minimum" if least > 0 else ""
    return Diagnosis(
        code="just-right",
        confidence=Confidence.HIGH if len(score) >= 30 else Confidence.MEDIUM if len(score) >= 10 else Confidence.LOW,
        sentence=f"Just right: the score settled at {score.end:.3g} since epoch {since} of {epochs}{steady}.",
        evidence={"score": score.end, "plateau_epoch": since, "epochs": epochs, "loss_ratio": _ratio(training)},
        changes=(Change(key="train.patience", value=20, how="stop 20 epochs after the last gain"),) if late else (),
    )


def _ratio(training: Training) -> float | None:
    val, train = training.val_loss, training.train_loss
    return val.end / train.end if len(val) and len(train) and train.end else None
