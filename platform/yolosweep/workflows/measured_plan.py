"""Measure what a plan costs: short real trainings of its default trial, and of the largest one it may search."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from yolosweep.cluster import gpu_memory_mb, write_view_on_driver
from yolosweep.experiment import baseline, settings_of
from yolosweep.experiment.schema import MODEL
from yolosweep.ledger import RunFolder
from yolosweep.records.short_training import Probe
from yolosweep.runtime.training_probe import measured
from yolosweep.runtime.trial_resources import allot
from yolosweep.search.trial_generator import Suggestion
from yolosweep.workflows.experiment_checks import Checked
from yolosweep.workflows.progress_listener import Listener

__all__ = ["probes_of"]

_SECONDS = 20.0
"""How long the batches of one probe are timed."""
_MOST = 8
"""Trainings at a time; more are not started for a measurement."""
_COSTLY = ("imgsz", "batch")
"""Arguments that decide what a training costs."""


def probes_of(checked: Checked, listener: Listener, *, seconds: float = _SECONDS) -> tuple[Probe, ...]:
    """Train some batches of the default trial, and of the largest image size and batch that are searched.

    Everything is written to a temporary folder, which is removed.

    Raises:
        TrainingError: a training failed.
    """
    exp = checked.experiment
    parameters = baseline(exp)[0]
    largest = {**parameters, **{name: max(exp.space.numbers(name)) for name in _COSTLY if name in parameters}}
    if MODEL in parameters:
        largest[MODEL] = checked.largest[0].model
    points = [parameters] if largest == parameters else [parameters, largest]
    with tempfile.TemporaryDirectory(prefix="yolosweep-plan-") as storage:
        folder = RunFolder.create(storage, "plan")
        dataset = write_view_on_driver(checked.gate, checked.dataset, folder)
        memory_mb = gpu_memory_mb() if exp.resources.gpus_per_trial else None
        gpus = 0.0 if memory_mb is None else _gpus(exp.resources.gpus_per_trial)
        resources = exp.resources.model_copy(update={"gpus_per_trial": gpus, "workers": None})
        node = {"CPU": float(os.cpu_count() or 1), "GPU": 1.0 if gpus else 0.0}
        allotted = allot(resources, [node], exp.search.trials)
        here = {
            "model": str(checked.model), "data": dataset.train_on, "folder": folder.address,
            "cpus": allotted.cpus, "gpus": gpus, "policy": exp.trial,
        }  # fmt: skip
        at_a_time = min(allotted.concurrent, _MOST)
        probes = (_probe(checked, point, here, listener, seconds, at_a_time) for point in points)
        return tuple(probe.model_copy(update={"gpu_total_mb": memory_mb}) for probe in probes)


def _probe(
    checked: Checked,
    parameters: dict[str, Any],
    here: Mapping[str, Any],
    listener: Listener,
    seconds: float,
    at_a_time: int,
) -> Probe:
    exp = checked.experiment
    settings = settings_of(exp, parameters)
    point = Suggestion(parameters=parameters, settings=settings, identity="")
    size = f"imgsz {settings['imgsz']}, " if "imgsz" in settings else ""
    how = f"{size}batch {settings.get('batch', 'default')}, {at_a_time} at a time"
    listener.info(f"training some batches ({how}) …")
    model = checked.others.get(parameters.get(MODEL, ""), checked.model)
    request = point.request("plan", 0, exp, {**here, "model": str(model)})
    return measured(request, seconds, at_a_time=at_a_time)


def _gpus(asked: float | str) -> float:
    """Return the GPUs of one probe: at most one, as none can be measured across several."""
    return 1.0 if asked == "auto" else min(float(asked), 1.0)
