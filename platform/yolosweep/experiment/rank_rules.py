"""Rules for trials that train on several ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yolosweep.errors import Fault
from yolosweep.experiment.arguments import defaults
from yolosweep.experiment.schema import Experiment

__all__ = ["rank_faults"]


def rank_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield what does not fit together where a trial has several ranks: each gets one GPU and its part of the batch."""
    asked = exp.resources
    gpus = 0.0 if asked.gpus_per_trial == "auto" else float(asked.gpus_per_trial)
    ranks = asked.workers or max(1, int(gpus))
    if ranks == 1 and gpus <= 1:
        return
    if exp.is_toy:
        yield Fault(key="resources", message="toy/red trains in one process; set workers: 1 and gpus_per_trial: 0")
    if asked.gpus_per_trial != "auto" and gpus not in (0.0, float(ranks)):
        yield Fault(
            key="resources.gpus_per_trial",
            message=f"{gpus:g} does not fit {ranks} workers: each has one GPU; set {ranks}, or 0 for the CPU",
        )
    if exp.train.get("rect"):
        yield Fault(key="train.rect", message=f"batches of one shape cannot be shared by {ranks} ranks; remove it")
    for key, batch in _batches(exp):
        if isinstance(batch, int | float) and batch % ranks:
            yield Fault(
                key=key, message=f"batch {batch:g} cannot be shared by {ranks} ranks; choose a multiple of {ranks}"
            )


def _batches(exp: Experiment) -> Iterator[tuple[str, Any]]:
    """Yield every batch that may be trained with; what is no number is the fault of another rule."""
    parameter = exp.search.parameters.get("batch")
    if parameter is not None:
        values = parameter.grid() or parameter.corners()
        yield from (("search.parameters.batch", value) for value in values)
    else:
        yield "train.batch", exp.train.get("batch", defaults().get("batch", 16))
