"""``balance``: the strength of oversampling, a train argument of ours beside Ultralytics'."""

from __future__ import annotations

from collections.abc import Iterator

from yolosweep.errors import Fault
from yolosweep.experiment.schema import Experiment

__all__ = ["balance_faults"]

_RULE = "must be a number from 0 (off) to 1 (all classes as often as the most frequent one), e.g. 0.5"


def balance_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield a fault for the first strength that is not a number from 0 to 1."""
    if exp.is_toy:
        return
    searched = exp.search.parameters.get("balance")
    key = "train.balance" if searched is None else "search.parameters.balance"
    for value in [exp.train.get("balance", 0)] if searched is None else searched.corners():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            yield Fault(key=key, message=f"{value!r} {_RULE}")
            return
