"""Rules for trials that train on several ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yolosweep.errors import Fault
from yolosweep.experiment.schema import Experiment
from yolosweep.experiment.trial_settings import is_open_batch

__all__ = ["rank_faults"]


def rank_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield what does not fit a trial with several ranks: each has one GPU and its share of the batch."""
    asked, ranks = exp.resources, exp.resources.ranks
    gpus = 0.0 if asked.gpus_per_trial == "auto" else float(asked.gpus_per_trial)
    if ranks == 1 and gpus <= 1:
        return
    if not exp.backend.several_ranks:
        message = f"{exp.backend.name} trains in one process; set workers: 1 and gpus_per_trial: 0"
        yield Fault(key="resources", message=message)
    if asked.gpus_per_trial != "auto" and gpus not in (0.0, float(ranks)):
        message = f"{gpus:g} does not fit {ranks} workers: each has one GPU; set {ranks}, or 0 for the CPU"
        yield Fault(key="resources.gpus_per_trial", message=message)
    for key, batch in _batches(exp):
        if isinstance(batch, int | float) and batch % ranks and not is_open_batch(batch):
            message = f"batch {batch:g} cannot be shared by {ranks} ranks; choose a multiple of {ranks}"
            yield Fault(key=key, message=message)


def _batches(exp: Experiment) -> Iterator[tuple[str, Any]]:
    """Yield every batch a trial may have; another rule refuses what is not a number."""
    parameter = exp.search.parameters.get("batch")
    if parameter is not None:
        values = parameter.grid() or parameter.corners()
        yield from (("search.parameters.batch", value) for value in values)
    else:
        yield "train.batch", exp.backend.arguments.value(exp.train, "batch")
