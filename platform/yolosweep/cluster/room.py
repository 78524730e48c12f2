"""How much disk a sweep needs, and where: a pure estimate, made before a trial runs on a node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from yolosweep.experiment.schema import Experiment

__all__ = ["Room", "room_of"]

_MIB = 2.0**20
_STATE_BYTES = 20
"""Of a parameter in a resumable state: weights, their average, AdamW's two moments, a held gradient, 4 bytes each."""
_WEIGHTS_BYTES = 2
"""Of a parameter in ``best.pt``: half precision."""
_MILLIONS = {"n": 3, "t": 3, "s": 12, "m": 26, "b": 26, "c": 26, "l": 45, "e": 60, "x": 70}
"""Parameters of Ultralytics' models by the letter of their size: the largest of all families."""
_SIZE = re.compile(r"yolo(?:v|e-)?\d+([a-z])", re.IGNORECASE)
_TOY_MB = 10.0


@dataclass(frozen=True, kw_only=True)
class Room:
    """Disk that a sweep needs, MiB."""

    trial_mb: float = 0.0
    """In a node's temporary folder, for each trial that trains there: its newest state and weights."""
    cache_mb: float = 0.0
    """In a node's cache folder, where a budget for decoded images is set; without one they take what is free."""
    running_mb: float = 0.0
    """In the run folder, for each trial that trains anywhere: its checkpoints."""
    kept_mb: float = 0.0
    """In the run folder, for the weights of the trials that are kept."""
    gpus: float | None = None
    """Of one trial; None: one where there are any."""
    cpus: float | None = None
    """Of one trial on the CPU; None: half a node's."""
    most: int | None = None
    """Trials at a time, on all nodes together."""

    def trials_on(self, resources: Mapping[str, float]) -> int:
        """Return how many trials may train on a node at a time, at least one."""
        has, cpus = resources.get("GPU", 0.0), resources.get("CPU", 0.0)
        gpus = min(1.0, has) if self.gpus is None else self.gpus
        count = has / gpus if gpus else cpus / (self.cpus or max(1.0, cpus / 2))
        return max(1, min(int(count + 1e-9), self.most or int(count + 1e-9)))

    def storage_mb(self, trials: int) -> float:
        """Return what the run folder needs with so many trials at a time."""
        return self.kept_mb + self.running_mb * min(trials, self.most or trials)


def room_of(exp: Experiment, model_bytes: int | None = None) -> Room:
    """Estimate the disk that an experiment needs.

    Args:
        exp: the experiment.
        model_bytes: size of its model file; where it is none yet, the letter in the model's name says how large it is.
    """
    asked, trial = exp.resources, exp.trial
    if exp.is_toy:
        state = weights = _TOY_MB / 4
    else:
        parameters = model_bytes / _WEIGHTS_BYTES if model_bytes else _millions(exp.model) * 1e6
        state, weights = parameters * _STATE_BYTES / _MIB, parameters * _WEIGHTS_BYTES / _MIB
    limits = [limit for limit in (asked.max_concurrent, exp.search.trials) if limit is not None]
    return Room(
        trial_mb=state + 2 * weights,
        cache_mb=float(trial.image_cache_budget or 0) if trial.image_cache == "shared" else 0.0,
        running_mb=(trial.keep_checkpoints + 1) * (state + weights),
        kept_mb=exp.keep_top * 2 * weights,
        gpus=None if asked.gpus_per_trial == "auto" else float(asked.gpus_per_trial),
        cpus=None if asked.cpus_per_trial == "auto" else float(asked.cpus_per_trial),
        most=min(limits, default=None),
    )


def _millions(model: str) -> int:
    found = _SIZE.search(model)
    return _MILLIONS.get(found[1].lower(), _MILLIONS["x"]) if found else _MILLIONS["x"]
