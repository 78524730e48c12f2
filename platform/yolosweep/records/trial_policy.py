"""How a trial is kept alive: the ``trial`` section of an experiment, which every request carries."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Seconds", "TrialPolicy", "Whole"]

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    """Read ``8h``, ``30m``, ``90s``, ``2d`` or a bare number of seconds."""
    if isinstance(value, str):
        found = _DURATION.match(value.strip())
        if not found:
            raise ValueError("must be a duration such as 90s, 30m, 8h or 2d")
        return float(found[1]) * _SECONDS[found[2]]
    return value


Seconds = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=float | str), Field(gt=0, strict=True)]
Whole = Annotated[int, Field(strict=True)]
"""A whole number; ``true`` and ``"5"`` are not numbers in YAML."""


def _interval(value: object) -> object:
    """Read a whole number of epochs, or a duration."""
    read = _seconds(value) if isinstance(value, str) else value
    if isinstance(read, bool) or not isinstance(read, (int, float)) or not 0 < read < math.inf:
        raise ValueError("must be a whole number of epochs from 1 up, or a duration such as 10m")
    return read


Interval = Annotated[
    int | float, BeforeValidator(_interval, json_schema_input_type=Annotated[int, Field(ge=1)] | float | str)
]
"""Epochs where it is a whole number, else seconds."""


class TrialPolicy(BaseModel):
    """How one trial is kept alive, and what happens if it runs into trouble."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint_every: Interval = 1
    """A whole number of epochs, or a duration such as ``10m``: how often the resumable state reaches the run folder."""
    keep_checkpoints: Annotated[Whole, Field(ge=1)] = 2
    """Resumable states kept while a trial runs; the older one is used when the newer is damaged."""
    on_oom: Literal["lower_batch", "fail"] = "lower_batch"
    """Out of memory in the first epoch: halve ``batch`` (recorded, and learned by the search), or end the trial."""
    retries: Annotated[Whole, Field(ge=0)] = 2
    """How often a trial that failed for an unknown reason is tried again; lost machines are not counted."""
    stall_timeout: Seconds = 600.0
    """A trial without progress for this long, and for ``stall_factor`` median epochs, is ended and tried again once."""
    stall_factor: Annotated[float, Field(gt=0)] = 5.0
    """See ``stall_timeout``."""
    recycle_after: Annotated[Whole, Field(ge=1)] = 50
    """Trainings after which a worker process is replaced by a fresh one; after an error it always is."""
    image_cache: Literal["shared", "off"] = "shared"
    """``shared``: decoded images are in one memory-mapped file per data set and imgsz, for all trials of a node."""
    image_cache_budget: Annotated[Whole, Field(ge=1)] | None = None
    """MiB of disk that decoded images may take on a node; by default a quarter of its memory or free disk."""
