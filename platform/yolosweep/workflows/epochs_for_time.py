"""How many epochs a trial may take so that a search fits into its time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from yolosweep.cluster import gpu_memory_mb
from yolosweep.experiment import Experiment
from yolosweep.records.trial_columns import duration_text
from yolosweep.runtime.trial_resources import allot
from yolosweep.workflows.cost_estimate import estimate_cost

__all__ = ["Fit", "fit_into", "fit_on_this_machine"]

_TRIALS = 20
"""A search of fewer trials finds little, so each is shortened before there are fewer; the finals not counted."""
_FEWEST_EPOCHS = 10
"""Shorter trainings rank settings differently from long ones."""


class Fit(NamedTuple):
    """What fits into a time budget."""

    epochs: int
    trials: int
    finals: int
    """How many of them the finals take."""
    epoch_s: float

    def sentence(self, time: str) -> str:
        """Return it in words."""
        basis = f"at about {duration_text(self.epoch_s)} an epoch on this CPU (a rough model: yolosweep plan --measure)"
        if self.trials < 2:
            return (
                f"{time} is too short for a search: a trial of {self.epochs} epochs takes about "
                f"{duration_text(self.epochs * self.epoch_s)}, {basis}"
            )
        finals = f" ({self.finals} of them in the finals)" if self.finals else ""
        return f"about {self.trials} trials{finals} of {self.epochs} epochs fit into {time}, {basis}"


def fit_into(budget_s: float, epoch_s: float, *, at_a_time: int, finals: int, usual: int) -> Fit:
    """Return the epochs of a trial, at most the usual ones, and how many trials then fit if none is pruned."""
    available = budget_s * at_a_time / max(epoch_s, 1e-6)
    epochs = int(min(max(available // (_TRIALS + finals), _FEWEST_EPOCHS), usual))
    trials = int(available // epochs)
    return Fit(epochs=epochs, trials=trials, finals=finals if trials > finals + 1 else 0, epoch_s=epoch_s)


def fit_on_this_machine(exp: Experiment, images: Mapping[str, int]) -> Fit | None:
    """Return what fits into the time budget of an experiment here; None on GPUs, whose speed no model knows."""
    if gpu_memory_mb() is not None or exp.search.time_budget is None:
        return None
    resources = exp.resources.model_copy(update={"gpus_per_trial": 0.0})
    allotted = allot(resources, [{"CPU": float(os.cpu_count() or 1)}], exp.search.trials)
    cost = estimate_cost(exp, dict(images), model_bytes=None, cores=allotted.cpus)
    if cost is None:
        return None
    middling = (cost.epoch_seconds + cost.epoch_seconds_most) / 2
    return fit_into(
        exp.search.time_budget,
        middling,
        at_a_time=allotted.concurrent,
        finals=exp.search.finals.trainings if exp.search.finals else 0,
        usual=int(exp.train["epochs"]),
    )
