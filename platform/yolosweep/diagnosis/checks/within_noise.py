"""The differences between trials are smaller than what the validation images can tell apart."""

from __future__ import annotations

import math

from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check", "images_for"]

_TIED = 0.5
"""Share of the comparable trials within the resolution of the best."""
_FEWEST = 5
_WORTH = 0.005
"""A gain below this is not worth the labels that would resolve it."""


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis where most comparable trials, or trial 0, tie with the best."""
    tied, comparable, best = sweep.tied, sweep.comparable, sweep.best
    if best is None or sweep.resolution is None or len(comparable) < _FEWEST:
        return None
    with_defaults = any(trial.number == 0 for trial in tied) and best.number != 0
    if len(tied) < _TIED * len(comparable) and not with_defaults:
        return None
    base = sweep.baseline
    gain = None if base is None or base.score is None or best.score is None else abs(best.score - base.score)
    more = f", trial 0 with a difference of {gain:.4f} among them" if with_defaults and gain is not None else ""
    return Diagnosis(
        code="within-noise",
        confidence=Confidence.HIGH if len(tied) >= 0.8 * len(comparable) else Confidence.MEDIUM,
        sentence=f"Within noise: {len(tied) - 1} of the {len(comparable) - 1} other comparable trials are within "
        f"{sweep.resolution:.3f} of {best.name}, which val with {sweep.val_images} images cannot tell apart{more}.",
        evidence={
            "tied": len(tied) - 1,
            "comparable": len(comparable),
            "resolution": sweep.resolution,
            "gain_over_trial_0": gain,
            "val_images": sweep.val_images,
        },
        changes=(Change(key="data", how=f"label more val images: {_needed(sweep, gain)}"),),
    )


def _needed(sweep: Sweep, gain: float | None) -> str:
    """Return how many images would help."""
    images, resolution = sweep.val_images, sweep.resolution or 0.0
    if gain and _WORTH <= gain < resolution:
        return f"about {images_for(sweep, gain)} resolve a difference of {gain:.4f}"
    return f"four times as many ({4 * images}) halve what cannot be told apart"


def images_for(sweep: Sweep, difference: float) -> int:
    """Return about how many images of val have a difference as their resolution.

    Its square has a part that falls with the number of images, and the variance of one image, which falls with the
    square of that number and is most of it where there are few.
    """
    images, resolution, one_image = sweep.val_images, sweep.resolution or 0.0, sweep.val_images * sweep.one_image
    spread = max(images * (resolution**2 - sweep.one_image**2), 0.0)
    needed = (spread + math.sqrt(spread**2 + (2 * difference * one_image) ** 2)) / (2 * difference**2)
    return int(float(f"{needed:.2g}"))
