"""The backends there are, and which one trains a model."""

from __future__ import annotations

from yolosweep.backends.backend import Backend
from yolosweep.backends.toy.backend import ToyBackend
from yolosweep.backends.trainer import Trainer
from yolosweep.backends.ultralytics.backend import UltralyticsBackend

__all__ = ["BACKENDS", "DEFAULT_BACKEND", "backend_for", "trainer_for"]

BACKENDS: list[Backend] = [
    ToyBackend(),
    UltralyticsBackend(),
]
"""One line per backend; the first that matches a model is used, so the general one is last."""

DEFAULT_BACKEND = BACKENDS[-1]
"""The backend for questions without a model, such as the JSON schema."""


def backend_for(model: str) -> Backend:
    """Return the backend that trains a model."""
    return next(backend for backend in BACKENDS if backend.matches(model))


def trainer_for(model: str) -> Trainer:
    """Return a trainer for a model; this imports the libraries it needs."""
    return backend_for(model).trainer()
