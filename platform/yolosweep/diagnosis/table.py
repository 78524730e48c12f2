"""All checks, and what they say of one training or of a sweep.

To add a check of a training, write a module in ``diagnosis/checks/`` with a function ``check(training)`` that returns
a :class:`Diagnosis` or None, and list it in :data:`TRAINING_CHECKS`; likewise ``check(sweep)`` in :data:`SWEEP_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable

from yolosweep.diagnosis.checks import (
    diverged,
    just_right,
    leakage,
    not_learning,
    overfitting,
    still_rising,
    underfitting,
    unstable,
)
from yolosweep.diagnosis.training import Training
from yolosweep.records.diagnosis import Diagnosis

__all__ = ["TRAINING_CHECKS", "diagnose_training"]

TRAINING_CHECKS: dict[str, Callable[[Training], Diagnosis | None]] = {
    "diverged": diverged.check,
    "not-learning": not_learning.check,
    "leakage": leakage.check,
    "unstable": unstable.check,
    "overfitting": overfitting.check,
    "still-rising": still_rising.check,
    "underfitting": underfitting.check,
}
"""By code, the most serious first: the first that finds something is the verdict on a training."""

_ALONE = frozenset({"diverged", "not-learning"})
"""After these, nothing else about the curves means anything."""


def diagnose_training(training: Training) -> tuple[Diagnosis, ...]:
    """Return what the curves of a training show, the verdict first; empty if it has no epoch with a score."""
    if not training.rows:
        return ()
    found: list[Diagnosis] = []
    for check in TRAINING_CHECKS.values():
        if not _ALONE & {diagnosis.code for diagnosis in found} and (diagnosis := check(training)) is not None:
            found.append(diagnosis)
    if not found and (fine := just_right.check(training)) is not None:
        found = [fine]
    return tuple(diagnosis.model_copy(update={"trial": training.trial}) for diagnosis in found)
