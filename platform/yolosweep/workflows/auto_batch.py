"""The batches that an experiment leaves open (-1, or a share of the GPU's memory): found once, before the search.

A batch that every trial found for itself would depend on what else runs on its GPU, and a resumed trial could have
another one. Found once, it is a value like any other: recorded, learned from, and trained with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yolosweep.errors import ExperimentError, Fault
from yolosweep.experiment import Experiment, baseline, is_open_batch, settings_of

__all__ = ["largest_request", "open_batches", "with_batches"]

Find = Callable[[Any], int]
"""Returns the batch found for -1 or a share."""


def open_batches(exp: Experiment) -> list[Any]:
    """Return the values of ``batch`` that are to be found, in the order they are written."""
    return [value for value in exp.space.values("batch") if is_open_batch(value)]


def with_batches(exp: Experiment, find: Find) -> tuple[Experiment, list[str]]:
    """Return the experiment with the batches found, and a note for each.

    Raises:
        ExperimentError: one that is found is a choice of the search already.
    """
    found = {value: find(value) for value in open_batches(exp)}
    if not found:
        return exp, []
    notes = [f"{exp.space.key('batch')}: {value} is {batch}, found before the search" for value, batch in found.items()]
    if "batch" not in exp.search.parameters:
        return exp.model_copy(update={"train": {**exp.train, "batch": found[exp.train["batch"]]}}), notes
    parameter = exp.search.parameters["batch"]
    values = [found.get(value, value) for value in parameter.corners()]
    if len(set(values)) < len(values):
        message = f"{', '.join(notes)}, so {values} holds one batch twice; remove one of the two"
        raise ExperimentError(exp.name, [Fault(key="search.parameters.batch.values", message=message)])
    change = {"value": values[0]} if parameter.kind == "constant" else {"values": values}
    parameters = {**exp.search.parameters, "batch": parameter.model_copy(update=change)}
    return exp.model_copy(update={"search": exp.search.model_copy(update={"parameters": parameters})}), notes


def largest_request(exp: Experiment, batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters and settings of trial 0 at the largest image size that is searched, to find a batch with."""
    parameters = {**baseline(exp)[0]}
    if "imgsz" in parameters:
        parameters["imgsz"] = int(max(exp.space.numbers("imgsz")))
    if "batch" in parameters:
        parameters["batch"] = batch
    return parameters, {**settings_of(exp, parameters), "batch": batch}
