"""A rough model of what a training costs on one CPU core, by model, image size and batch."""

from __future__ import annotations

from yolosweep.backends.backend import TrainingCost

__all__ = ["training_cost"]

_GFLOPS_PER_MILLION = 2.6
"""Of a forward pass at 640 pixels, per million parameters: between 1.8 (x) and 3.0 (m) in YOLO11 and YOLO26."""
_GFLOPS_PER_S = 20.0
_BACKWARD = 3.0
"""A training step costs about three forward passes."""
_IMAGE_S = 0.015
"""To load and augment an image."""
_BATCH_S, _BATCH_S_PER_MILLION = 0.12, 0.04
"""A step without images: launching some hundred layers, and the optimizer, which touches every parameter."""
_PROCESS_MB = 700.0
_MB_PER_MILLION = 20.0
_ACTIVATIONS_MB = 220.0
"""Of an image at 640 pixels in a model of a million parameters; they grow with the square root of the parameters."""


def training_cost(millions: float, *, imgsz: int, batch: int) -> TrainingCost:
    """Return the rough cost of a training.

    Args:
        millions: parameters of the model.
        imgsz: image size.
        batch: batch size.
    """
    area = (imgsz / 640) ** 2
    return TrainingCost(
        batch_s=_BATCH_S + _BATCH_S_PER_MILLION * millions,
        image_s=_IMAGE_S + _BACKWARD * _GFLOPS_PER_MILLION * millions * area / _GFLOPS_PER_S,
        memory_mb=_PROCESS_MB + _MB_PER_MILLION * millions + batch * _ACTIVATIONS_MB * millions**0.5 * area,
    )
