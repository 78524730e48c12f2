"""The loss became NaN or exploded, and the training did not recover."""

from __future__ import annotations

from yolosweep.diagnosis.checks.not_learning import ZERO
from yolosweep.diagnosis.curves import diverged as silently_diverged
from yolosweep.diagnosis.observed_training import Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]


_BURST = 10.0
"""Multiple of its first value: a training loss that grows tenfold has burst."""


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis where the training loss ended as NaN, exploded, or the score collapsed for good."""
    broken, epochs = training.nan_epochs, [row.epoch for row in training.rows]
    ends_in_nan = bool(broken) and broken[-1] == epochs[-1]
    told = None if ends_in_nan else silently_diverged(training.rows) or _burst(training)
    if not ends_in_nan and told is None:
        return None
    evidence: dict[str, float | None] = {"nan_epochs": len(broken), "epochs": len(epochs), "peak": training.peak}
    if ends_in_nan:
        evidence["first_nan_epoch"] = broken[0]
        told = f"the training loss is NaN or infinite in {len(broken)} of {len(epochs)} epochs, first in {broken[0]}"
    return Diagnosis(
        code="diverged",
        confidence=Confidence.HIGH,
        sentence=f"Diverged: {told}.",
        evidence=evidence,
        changes=(
            training.scaled("lr0", 0.2, "lower the learning rate to a fifth"),
            Change(key="train.amp", value=False, how="train in full precision, if the GPU's half precision overflows"),
            training.scaled("warmup_epochs", 2, "warm up twice as long"),
        ),
    )


def _burst(training: Training) -> str | None:
    """Return a sentence where the training loss burst and the model detects nothing since."""
    loss, score = training.train_loss, training.score
    if not len(loss) or not len(score) or loss.values[0] <= 0 or max(score.values) >= ZERO:
        return None
    most = max(loss.values)
    return f"the training loss grew from {loss.values[0]:.3g} to {most:.3g}" if most > _BURST * loss.values[0] else None
