"""Images of val or test are in another split, as the data checks found."""

from __future__ import annotations

import shlex

from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.diagnosis.verdict import LEAKING
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis where a share of the images that scores are measured on was trained on."""
    shares = {
        split: sweep.dataset.leaks.get(split, 0.0) + sweep.dataset.same_source.get(split, 0.0)
        for split in ("val", "test")
    }
    leaking = {split: share for split, share in shares.items() if share >= LEAKING}
    if not leaking:
        return None
    listed = " and ".join(f"{share:.1%} of {split}" for split, share in leaking.items())
    command = f"yolosweep split {shlex.quote(sweep.dataset.source)}"
    return Diagnosis(
        code="leaking-splits",
        confidence=Confidence.HIGH if max(leaking.values()) >= 0.1 else Confidence.MEDIUM,
        sentence=f"Leaking splits: {listed} is also in another split or of the same source, so scores are too high.",
        evidence={f"{split}_share": share for split, share in leaking.items()},
        changes=(Change(key="data", how=f"split again without leaks: {command}, then name its data.yaml"),),
    )
