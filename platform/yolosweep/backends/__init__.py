"""One training from request to record: the Ultralytics adapter and the toy trainer.

This is the only door to ultralytics and torch; both are imported when a trainer is asked for, not before.
"""

from __future__ import annotations

from yolosweep.backends.backend import Cancelled as Cancelled
from yolosweep.backends.backend import Report as Report
from yolosweep.backends.backend import Trainer as Trainer
from yolosweep.experiment.schema import TOY_MODEL

__all__ = ["Cancelled", "Report", "Trainer", "trainer_for"]


def trainer_for(model: str) -> Trainer:
    """Return the trainer that knows a model: the toy, or Ultralytics for everything else."""
    if model == TOY_MODEL:
        from yolosweep.backends.toy.trainer import ToyTrainer

        return ToyTrainer()
    from yolosweep.backends.ultralytics.trainer import YoloTrainer

    return YoloTrainer()
