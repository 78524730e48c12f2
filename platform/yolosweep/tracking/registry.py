"""The sinks that a sweep can be mirrored to."""

from __future__ import annotations

from collections.abc import Mapping

from yolosweep.experiment.schema import Track
from yolosweep.tracking.sink import Choice, Sink
from yolosweep.tracking.wandb import WandbSink

__all__ = ["SINKS", "choose_sinks"]

SINKS: dict[str, Sink] = {
    "wandb": WandbSink(),
}
"""By name; the first one is the default of ``yolosweep track push``."""


def choose_sinks(track: Track, environ: Mapping[str, str]) -> tuple[Choice, ...]:
    """Decide for every sink whether to mirror a sweep.

    Raises:
        UsageError: the experiment requires a sink whose credentials are missing.
    """
    return tuple(sink.choose(track, environ) for sink in SINKS.values())
