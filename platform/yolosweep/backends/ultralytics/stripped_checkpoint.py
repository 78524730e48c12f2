"""The checkpoint for users: averaged weights in half precision, as Ultralytics leaves it after stripping.

Ultralytics writes weights and optimizer twice each epoch and strips them at the end. Here the resumable state is a
separate file, so this one is written without it, and only if the score improved.
"""

from __future__ import annotations

import hashlib
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

__all__ = ["save_weights", "weights_sha256"]


def save_weights(trainer: Any, path: Path) -> None:
    """Write the trainer's averaged weights to a file that ``YOLO(path)`` loads."""
    from ultralytics import __version__
    from ultralytics.utils import DEFAULT_CFG_DICT, DEFAULT_CFG_KEYS

    from yolosweep.backends.ultralytics.trainer_state import write_tensors

    model = deepcopy(trainer.ema.ema)
    if hasattr(model, "student_model"):  # distillation: the teacher is left out
        model._remove_feature_hooks()
        model = model.student_model
    if hasattr(model, "criterion"):
        model.criterion = None
    if hasattr(model, "args"):
        model.args = dict(model.args)
    model = model.half().to(memory_format=torch.contiguous_format)
    for value in model.state_dict().values():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            torch.nan_to_num_(value)  # half precision overflows where the average did not
    for parameter in model.parameters():
        parameter.requires_grad = False
    arguments = {**DEFAULT_CFG_DICT, **vars(trainer.args)}
    write_tensors(
        {
            "date": datetime.now().astimezone().isoformat(),
            "version": __version__,
            "license": "AGPL-3.0 License (https://ultralytics.com/license)",
            "docs": "https://docs.ultralytics.com",
            "epoch": -1,
            **dict.fromkeys(("best_fitness", "stopper", "ema", "updates", "optimizer", "scaler", "modelopt")),
            "model": model,
            "train_args": {key: value for key, value in arguments.items() if key in DEFAULT_CFG_KEYS},
            "train_metrics": {**trainer.metrics, "fitness": trainer.fitness},
            "train_results": trainer.read_results_csv(),
        },
        path,
    )


def weights_sha256(path: Path) -> str:
    """Return the SHA-256 of a checkpoint's tensors: their names, types, shapes and bytes, in the model's order."""
    from ultralytics.nn.tasks import torch_safe_load

    digest = hashlib.sha256()
    for name, tensor in torch_safe_load(str(path), safe_only=True)[0]["model"].state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()
