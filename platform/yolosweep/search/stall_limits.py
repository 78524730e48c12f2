"""How long a training, or the process it runs in, may give no sign: a pure rule."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from yolosweep.records import TrialPolicy

__all__ = ["SETUP_FACTOR", "limit_s", "silence_limit_s"]

SETUP_FACTOR = 6.0
"""Before the first batch (scanning labels, decoding images for the cache), the limit is this many times longer."""

_LATER_S = 5.0
"""How much later than its own watchdog, which writes the stacks, a process is ended from outside."""

_STOPPING_S = 20.0
"""How long a process may be silent while the sweep is stopping."""


def limit_s(epoch_seconds: Sequence[float], policy: TrialPolicy) -> float:
    """Return how long a training may stall: ``stall_timeout``, or ``stall_factor`` median epochs if longer."""
    median = statistics.median(epoch_seconds) if epoch_seconds else 0.0
    return max(policy.stall_timeout, policy.stall_factor * median)


def silence_limit_s(epoch_seconds: Sequence[float], policy: TrialPolicy, *, stopping: bool) -> float:
    """Return how long a worker process may send no heartbeat until it counts as hung.

    Args:
        epoch_seconds: of the trial that it runs; empty before its first epoch, and between two trials.
        policy: the experiment's ``trial`` section.
        stopping: whether the sweep is stopping.
    """
    limit = limit_s(epoch_seconds, policy) * (1.0 if epoch_seconds else SETUP_FACTOR) + _LATER_S
    return min(limit, _STOPPING_S) if stopping else limit
