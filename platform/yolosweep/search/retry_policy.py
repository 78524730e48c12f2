"""Whether a trial is tried again: a pure rule over why it stopped, as Kubernetes' pod failure policy words it."""

from __future__ import annotations

from collections.abc import Sequence

from yolosweep.backends import backend_for
from yolosweep.ledger.history import TrialHistory
from yolosweep.records import Cause, Ending, TrialPolicy
from yolosweep.records.events import TrialResumed

__all__ = ["FRUITLESS", "LOWERINGS", "STALLS", "lower_batch", "refusal"]

FRUITLESS = 3
"""Processes in a row that a trial may cost without one more epoch: after that it is the trial, not the machine."""

STALLS = 1
"""How often a stalled trial is tried again."""

LOWERINGS = 3
"""How often the batch of a trial on several ranks is halved, as often as of one on a single rank."""


def lower_batch(known: TrialHistory, ending: Ending, policy: TrialPolicy) -> int | None:
    """Return the batch that a trial on several ranks is tried again with; None where it is not.

    A single rank halves its batch by itself. Of several, the others wait inside of a library for the one whose batch
    did not fit, so all restart as new processes. As there, a trial that has a row keeps its batch.
    """
    request, ranks = known.request, known.request.world_size
    times = sum(event.batch is not None for event in known.resumes)
    if ending is not Ending.OOM or policy.on_oom != "lower_batch" or ranks == 1 or known.rows or times == LOWERINGS:
        return None
    half = (request.lowered or backend_for(request.model).arguments.batch(request.settings)) // 2
    return half if half >= ranks else None


def refusal(cause: Cause, log: Sequence[TrialResumed], from_epoch: int, policy: TrialPolicy) -> str | None:
    """Return why a trial is not tried again; None where it is.

    Args:
        cause: why it stopped now.
        log: its earlier resumes, oldest first.
        from_epoch: where it would go on from.
        policy: the experiment's ``trial`` section.
    """
    if cause in (Cause.INFRA, Cause.STORAGE):
        fruitless = 1
        for event in reversed(log):
            if event.cause != cause.value or event.from_epoch != from_epoch:
                break
            fruitless += 1
        if fruitless >= FRUITLESS:
            return f"{fruitless} processes in a row ended in epoch {from_epoch + 1}"
        return None
    earlier = sum(event.cause == cause.value for event in log)
    if cause is Cause.STALLED:
        return None if earlier < STALLS else f"it stalled {earlier + 1} times"
    if cause is Cause.UNKNOWN:
        return None if earlier < policy.retries else f"tried {earlier + 1} times"
    return f"a {cause.value} error is not tried again"
