"""Many trials diverged: part of the space is unusable."""

from __future__ import annotations

from yolosweep.diagnosis.observed_sweep import Sweep
from yolosweep.records.diagnosis import Change, Confidence, Diagnosis

__all__ = ["check"]

_SHARE = 0.2
_FEWEST = 3


def check(sweep: Sweep) -> Diagnosis | None:
    """Return the diagnosis, with the upper end of lr0 lowered where the diverged trials have the highest rates."""
    diverged = [trial for trial in sweep.trials if trial.ending == "diverged"]
    if len(diverged) < max(_FEWEST, _SHARE * len(sweep.trials)):
        return None
    change = Change(key="search.parameters.lr0", how="lower the upper end of the learning rate")
    bad = sweep.positions("lr0", diverged) if "lr0" in sweep.axes else []
    good = sweep.positions("lr0", sweep.comparable) if "lr0" in sweep.axes else []
    if bad and good and max(good) < 0.95 and min(bad) > 0.3:
        axis, end = sweep.axes["lr0"], max(max(good), min(bad))
        how = f"{len(diverged)} trials diverged, all with lr0 of {axis.value(min(bad)):.3g} or more"
        change = Change(key="search.parameters.lr0", value=axis.range(0, min(1.0, end)), how=how)
    return Diagnosis(
        code="diverging",
        confidence=Confidence.HIGH,
        sentence=f"Diverging: {len(diverged)} of {len(sweep.trials)} trials diverged.",
        evidence={"diverged": len(diverged), "trials": len(sweep.trials)},
        changes=(change,),
    )
