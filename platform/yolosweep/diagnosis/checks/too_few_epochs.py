"""Most trials were still rising when they ended: all of them need more epochs."""

from __future__ import annotations

from yolosweep.diagnosis.checks import still_rising
from yolosweep.diagnosis.checks.not_learning import ZERO
from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_SHARE = 0.5
_BEST = 5
"""The best trials decide: bad ones may rise for long."""


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis where at least half of the best trials, the best among them, were still rising."""
    top = sweep.comparable[:_BEST]
    rising = [trial for trial in top if still_rising.check(trial.training) is not None]
    if not top or len(rising) < _SHARE * len(top) or top[0] not in rising:
        return None
    epochs = max(trial.training.planned_epochs or len(trial.training.rows) for trial in top)
    what = "had found next to nothing" if top[0].training.peak < ZERO else "were still rising"
    how = f"{len(rising)} of the best {len(top)} trials {what} after {epochs} epochs"
    if epochs < still_rising.FEWEST:
        how = f"{epochs} epoch{'s are' if epochs > 1 else ' is'} too few to judge a trial"
    return Diagnosis(
        code="too-few-epochs",
        confidence=Confidence.HIGH if len(top) >= 3 else Confidence.MEDIUM,
        sentence=f"Too few epochs: {how}.",
        evidence={"rising": len(rising), "trials": len(top), "epochs": epochs},
        changes=(Change(key="train.epochs", value=2 * epochs, how=how),),
    )
