"""Whether a trial is tried again: a pure rule over why it stopped, as Kubernetes' pod failure policy words it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yolosweep.experiment.schema import Policy
from yolosweep.records import Cause

__all__ = ["FRUITLESS", "STALLS", "refusal"]

FRUITLESS = 3
"""Processes in a row that a trial may cost without one more epoch: after that it is the trial, not the machine."""

STALLS = 1
"""How often a trial that stood still is tried again."""


def refusal(cause: Cause, log: Sequence[Mapping[str, Any]], from_epoch: int, policy: Policy) -> str | None:
    """Return why a trial is not tried again; None where it is.

    Args:
        cause: why it stopped now.
        log: its earlier ``trial_resumed`` events, oldest first, with ``cause`` and ``from_epoch``.
        from_epoch: where it would go on from.
        policy: the experiment's ``trial`` section.
    """
    if cause in (Cause.INFRA, Cause.STORAGE):
        fruitless = 1
        for event in reversed(log):
            if event["cause"] != cause.value or event["from_epoch"] != from_epoch:
                break
            fruitless += 1
        if fruitless >= FRUITLESS:
            return f"{fruitless} processes in a row ended in epoch {from_epoch + 1}"
        return None
    earlier = sum(event["cause"] == cause.value for event in log)
    if cause is Cause.STALLED:
        return None if earlier < STALLS else f"it stood still {earlier + 1} times"
    if cause is Cause.UNKNOWN:
        return None if earlier < policy.retries else f"tried {earlier + 1} times"
    return f"a {cause.value} error is not tried again"
