"""Further trials would not help: val is too small to compare any, or the model is limited by the data."""

from __future__ import annotations

import statistics

from yolosweep.diagnosis.checks import still_rising, within_noise
from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_FEWEST = 12
_SPREAD = 0.75
"""Share of the comparable trials that tie with the best, from which settings no longer matter."""

_CHANCE = 2.5
"""Z value of the rank correlation from which a setting matters, although single trials tie."""
_COARSE = 0.1
"""A difference that everybody wants to see: a sweep on a val that cannot show it compares nothing."""
_FINE = 0.05
"""What a val is asked for that can."""


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis where trials cannot be compared, or their settings no longer matter."""
    return _too_small(sweep) or _saturated(sweep)


def _too_small(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis where a single image of val outweighs what trials differ by, whatever the trials."""
    best, base, resolution = sweep.best, sweep.baseline, sweep.resolution
    if best is None or resolution is None or sweep.one_image <= _COARSE:
        return None
    if base is None or (base is not best and base not in sweep.tied):
        return None
    train, needed = sweep.dataset.images.get("train", 0), within_noise.images_for(sweep, _FINE)
    how = (
        f"stop sweeping and label more images{_fewest(sweep)}, of every place and time that the model is for: at least "
        f"{needed} for val, which tell {_FINE:g} apart, and several times as many for train"
    )
    return Diagnosis(
        code="label-more",
        confidence=Confidence.HIGH,
        sentence=f"Too few images: with {sweep.val_images} val images no difference below {resolution:.2f} counts, "
        f"whatever the settings, and train has {train} images.",
        evidence={"val_images": sweep.val_images, "train_images": train, "resolution": resolution},
        changes=(Change(key="data", how=how),),
    )


def _saturated(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis where nearly all trials tie, and longer training would not change that."""
    best, comparable = sweep.best, sweep.comparable
    if best is None or len(comparable) < _FEWEST or within_noise.check(sweep) is None:
        return None
    if len(sweep.tied) < _SPREAD * len(comparable) or still_rising.check(best.training) is not None:
        return None
    if any(max(abs(sweep.association(name)), sweep.closeness(name)) >= _CHANCE for name in sweep.axes):
        return None
    median = statistics.median(trial.score or 0.0 for trial in comparable)
    name, score = _weakest(sweep)
    what = "" if name is None else f" The weakest class is {name}, with {score:.3f}."
    how = "label more training images" if name is None else f"label more images with {name}{_count(sweep, name)}"
    val = f", and more val images ({sweep.val_images} tell only {sweep.resolution or 0:.3f} apart)"
    return Diagnosis(
        code="label-more",
        confidence=Confidence.HIGH if len(comparable) >= 2 * _FEWEST else Confidence.MEDIUM,
        sentence=f"Stop sweeping: {len(sweep.tied) - 1} of the {len(comparable) - 1} other trials that ran to their "
        f"end tie with the best ({best.score:.4f}; median {median:.4f}), so settings no longer matter.{what}",
        evidence={
            "tied": len(sweep.tied) - 1,
            "comparable": len(comparable),
            "best_score": best.score,
            "median_score": median,
            "weakest_class_score": score,
        },
        changes=(Change(key="data", how=f"{how}, hard ones and of new places first{val}"),),
    )


def _fewest(sweep: Sweep) -> str:
    """Return the class with the fewest objects in train and val, which is the first to label, and how many it has."""
    names, splits = sweep.dataset.names, sweep.dataset.instances
    if len(names) < 2 or not splits:
        return ""
    counts = {number: [splits.get(split, {}).get(number, 0) for split in ("train", "val")] for number in names}
    number, (train, val) = min(counts.items(), key=lambda pair: sum(pair[1]))
    return f", first with {names[number]} ({train} objects in train, {val} in val)"


def _weakest(sweep: Sweep) -> tuple[str | None, float | None]:
    """Return the class with the lowest score on val."""
    if len(sweep.per_class) < 2:
        return None, None
    return min(sweep.per_class.items(), key=lambda pair: pair[1])


def _count(sweep: Sweep, label: str) -> str:
    counts = sweep.dataset.instances.get("train", {})
    number = next((number for number, name in sweep.dataset.names.items() if name == label), None)
    return f" ({counts[number]} objects in train)" if number in counts else ""
