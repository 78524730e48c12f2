"""All checks, and what they find in one training or in a sweep.

To add a check of a training, write a module in ``diagnosis/checks/`` with a function ``check(training)`` that returns
a :class:`Diagnosis` or None, and list it in :data:`TRAINING_CHECKS`; likewise ``check(sweep)`` in :data:`SWEEP_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable

from yolosweep.diagnosis.checks import (
    class_imbalance,
    diverged,
    just_right,
    label_more,
    leaking_splits,
    many_diverged,
    not_learning,
    overfitting,
    space_edge,
    space_region,
    still_rising,
    suspiciously_perfect,
    too_few_epochs,
    underfitting,
    unstable,
    within_noise,
)
from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.diagnosis.observed_training import Training
from yolosweep.records.diagnosis import Diagnosis

__all__ = ["SWEEP_CHECKS", "TRAINING_CHECKS", "diagnose_sweep", "diagnose_training"]

TRAINING_CHECKS: dict[str, Callable[[Training], Diagnosis | None]] = {
    "diverged": diverged.check,
    "not-learning": not_learning.check,
    "leakage": suspiciously_perfect.check,
    "unstable": unstable.check,
    "overfitting": overfitting.check,
    "still-rising": still_rising.check,
    "underfitting": underfitting.check,
}
"""By code, the most serious first: the first that finds something is the verdict on a training."""

_ALONE = frozenset({"diverged", "not-learning"})
"""After these, nothing else about the curves means anything."""

SWEEP_CHECKS: dict[str, Callable[[Sweep], Diagnosis | None]] = {
    "leaking-splits": leaking_splits.check,
    "diverging": many_diverged.check,
    "label-more": label_more.check,
    "class-imbalance": class_imbalance.check,
    "too-few-epochs": too_few_epochs.check,
    "space-edge": space_edge.check,
    "within-noise": within_noise.check,
    "space-region": space_region.check,
}
"""By code, the most consequential first."""


def diagnose_training(training: Training) -> tuple[Diagnosis, ...]:
    """Return what the curves of a training show, the verdict first; empty if it has no epoch with a score."""
    found: list[Diagnosis] = []
    for check in TRAINING_CHECKS.values() if training.rows else ():
        if not _ALONE & {diagnosis.code for diagnosis in found} and (diagnosis := check(training)) is not None:
            found.append(diagnosis)
    if not found and (fine := just_right.check(training)) is not None:
        found = [fine]
    return tuple(diagnosis.model_copy(update={"trial": training.trial}) for diagnosis in found)


def diagnose_sweep(sweep: Sweep) -> tuple[Diagnosis, ...]:
    """Return what the trials of a sweep show together, then what the best trial's curves show."""
    found = [diagnosis for check in SWEEP_CHECKS.values() if (diagnosis := check(sweep)) is not None]
    best = diagnose_training(sweep.best.training) if sweep.best else ()
    return (*found, *best)
