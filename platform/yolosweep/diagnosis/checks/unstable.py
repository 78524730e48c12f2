"""Score or losses jump from epoch to epoch long after warm-up, or single epochs were NaN."""

from __future__ import annotations

import itertools
import math
import statistics

from yolosweep.diagnosis.checks.not_learning import ZERO
from yolosweep.diagnosis.observed_training import Curve, Training
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_SCATTER = 0.12
"""Scatter from epoch to epoch, as a share of the level. Validation sets of 50 images give up to 0.05."""
_CRASH = 0.6
"""Share of the best so far below which an epoch counts as a crash."""
_LEARNED = 0.5
"""Share of the peak from which a fall is a crash: before, a model gropes for its first detections."""
_SPIKE = 3.0
"""Multiple of its median, and of its least value before, at which a loss counts as a spike."""
_LOST = 0.15
_FEWEST = 10


def check(training: Training) -> Diagnosis | None:
    """Return the diagnosis where the later epochs scatter widely, crash repeatedly, or were partly NaN."""
    found = _measured(training)
    facts = [
        text
        for applies, text in (
            (found["scatter"] >= _SCATTER, "the score changes by {scatter:.0%} of its level from epoch to epoch"),
            (found["crashes"] >= 2, f"it fell below {_CRASH:.0%} of its best in {{crashes:.0f}} later epochs"),
            (found["spikes"] >= 3, f"the validation loss is over {_SPIKE:g} times its median in {{spikes:.0f}} epochs"),
            (found["nan_epochs"] > 0, "the training loss was NaN in {nan_epochs:.0f} epochs"),
            (found["lost"] >= _LOST, "the score ended {lost:.0%} below its peak while the training loss stayed"),
        )
        if applies
    ]
    if not facts:
        return None
    sure = found["scatter"] >= 2 * _SCATTER or len(facts) > 1
    return Diagnosis(
        code="unstable",
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
        sentence=f"Unstable: {', and '.join(facts)}.".format(**found),
        evidence=dict(found),
        changes=(
            training.scaled("lr0", 0.3, "lower the learning rate to a third"),
            training.scaled("batch", 2, "double the batch, where the GPU holds it"),
            Change(key="data", how="use more validation images: a small val split scatters, too"),
        ),
    )


def _measured(training: Training) -> dict[str, float]:
    late = _late(training.score)
    level = statistics.fmean(late) if late else 0.0
    learned = level > 3 * ZERO
    return {
        "scatter": _scatter(late) / level if learned else 0.0,
        "crashes": _crashes(training.score) if learned else 0,
        "spikes": _spikes(training.val_loss),
        "nan_epochs": len(training.nan_epochs),
        "lost": _lost(training),
    }


def _lost(training: Training) -> float:
    """Return the share of its peak that the score has lost, where the training loss did not fall meanwhile."""
    score, train = training.score, training.train_loss
    if len(score) < _FEWEST or len(train) < _FEWEST or score.peak < 3 * ZERO:
        return 0.0
    since = score.epochs[score.smooth.index(score.peak)]
    return score.lost if train.end >= 0.97 * train.smooth[train.index_of(since)] else 0.0


def _late(curve: Curve) -> tuple[float, ...]:
    """Return the values after warm-up: the first two fifths are left out."""
    return curve.values[max(3, int(0.4 * len(curve))) :] if len(curve) >= _FEWEST else ()


def _scatter(values: tuple[float, ...]) -> float:
    """Return the standard deviation of an epoch: changes that come back count, a trend does not."""
    bends = [b - (a + c) / 2 for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    falls = sum(b < a for a, b in itertools.pairwise(values))
    if falls < 0.3 * (len(values) - 1):
        return 0.0  # a steep rise bends, too
    return math.sqrt(statistics.fmean(bend * bend for bend in bends) / 1.5) if bends else 0.0


def _crashes(score: Curve) -> int:
    late = _late(score)
    best = max(score.values[: len(score) - len(late)], default=0.0)
    count = 0
    for value in late:
        count += value < _CRASH * best and best >= _LEARNED * score.peak
        best = max(best, value)
    return count


def _spikes(loss: Curve) -> int:
    """Return how many later epochs stand out from the others, and from what had been reached before."""
    late = _late(loss)
    usual, least = statistics.median(late) if late else 0.0, min(loss.values[: len(loss) - len(late)], default=math.inf)
    count = 0
    for value in late:
        count += value > _SPIKE * max(usual, least)
        least = min(least, value)
    return count
