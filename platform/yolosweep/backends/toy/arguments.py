"""The toy's train arguments, under Ultralytics' names."""

from __future__ import annotations

from yolosweep.backends.arguments import Arguments
from yolosweep.backends.ultralytics.arguments import ALIASES, DECADES, NOT_TRAINING, OWNED
from yolosweep.records.footprint import Footprint

__all__ = ["ARGUMENTS", "COUNTED"]

ARGUMENTS = Arguments(
    defaults={"epochs": 100, "batch": 16, "lr0": 0.01, "weight_decay": 0.0005, "patience": 100, "plots": True},
    owned=OWNED,
    aliases=ALIASES,
    not_training=NOT_TRAINING,
    decades=DECADES,
    runtime_only=frozenset(("plots",)),
)
"""Same defaults as in Ultralytics."""

COUNTED = Footprint(params_m=2e-6, gflops=2e-9)
"""Of a weight and a bias, for one crop."""
