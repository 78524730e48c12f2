"""A rough model of what a training costs on one CPU core, by model, image size and batch.

Fitted to YOLO11 from n to x at 96 to 640 pixels with batches of 4 and 16: seconds within 25 % of each other's ratio,
memory within 12 %. Other cores are faster or slower, and other processes take their share.
"""

from __future__ import annotations

from yolosweep.backends.backend import TrainingCost

__all__ = ["training_cost"]

_PIXELS_S, _PIXELS_POWER = 0.143, 0.8
"""Of an image at 640 pixels in a model of a million parameters, and how it grows with them: larger models use a core
better."""
_IMAGE_S = 0.003
"""To load and augment an image."""
_BATCH_S, _BATCH_S_PER_MILLION = 0.02, 0.009
"""A step without images: some hundred layers are started, and the optimizer touches every parameter."""
_STATE_S_PER_MILLION = 0.05
"""To write the state after an epoch."""
_PROCESS_MB, _MB_PER_MILLION = 855.0, 20.0
"""Weights, their average, gradients and AdamW's two moments have 4 bytes per parameter each."""
_ACTIVATIONS_MB, _ACTIVATIONS_POWER = 171.0, 0.54
"""Of an image at 640 pixels in a model of a million parameters, and how they grow with them."""


def training_cost(millions: float, *, imgsz: int, batch: int) -> TrainingCost:
    """Return the rough cost of a training.

    Args:
        millions: parameters of the model.
        imgsz: image size.
        batch: batch size.
    """
    area = (imgsz / 640) ** 2
    activations_mb = batch * _ACTIVATIONS_MB * millions**_ACTIVATIONS_POWER * area
    return TrainingCost(
        batch_s=_BATCH_S + _BATCH_S_PER_MILLION * millions,
        image_s=_IMAGE_S + _PIXELS_S * millions**_PIXELS_POWER * area,
        state_s=_STATE_S_PER_MILLION * millions,
        memory_mb=_PROCESS_MB + _MB_PER_MILLION * millions + activations_mb,
    )
