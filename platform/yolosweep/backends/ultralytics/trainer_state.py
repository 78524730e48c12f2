"""The state of an Ultralytics training after a complete epoch, and how to restore it exactly.

Ultralytics' own resume starts from the averaged weights in half precision and loses held gradients. This state has the
raw weights, the averaged ones, the optimizer and the gradients in full precision. The file contains tensors, numbers
and text: loading it runs no code.
"""

from __future__ import annotations

import contextlib
import math
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from yolosweep.errors import TrainingError
from yolosweep.storage.atomic_files import HashingWriter

__all__ = ["captured", "load_state", "not_finite", "restore", "restore_gradients", "save_state", "write_tensors"]

_FORMAT = "yolosweep state 1"


def captured(trainer: Any) -> dict[str, Any]:
    """Return the state of a trainer after a complete epoch; the tensors are live, so save it before the next step."""
    from ultralytics.utils.torch_utils import unwrap_model

    model = unwrap_model(trainer.model)
    criterion = getattr(model, "criterion", None)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {
        "format": _FORMAT,
        "epoch": trainer.epoch + 1,
        "batch": trainer.batch_size,
        "model": model.state_dict(),
        "ema": trainer.ema.ema.state_dict() if trainer.ema else None,
        "ema_updates": trainer.ema.updates if trainer.ema else 0,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "stopper": {name: getattr(trainer.stopper, name) for name in ("best_fitness", "best_epoch", "possible_stop")},
        "best_fitness": trainer.best_fitness,
        "criterion_updates": getattr(criterion, "updates", None),
        "gradients": gradients,
        "last_step": trainer.last_step,
        "seconds": time.time() - trainer.train_time_start,
        "results": trainer.csv.read_text() if trainer.csv.exists() else "",
        "over": bool(trainer.stop),
    }


def not_finite(trainer: Any) -> list[str]:
    """Return what is NaN or infinite after an epoch: loss, score, weights, or gradients held for a later step.

    A NaN in the middle of an epoch leaves a finite last loss and a score of 0, so the weights are checked too. With a
    gradient scaler (mixed precision) infinite gradients are normal: it skips the step itself.
    """
    from ultralytics.utils.torch_utils import unwrap_model

    model = unwrap_model(trainer.model)
    gradients = [] if trainer.scaler.is_enabled() else [p.grad for p in model.parameters() if p.grad is not None]
    loss = None if trainer.loss is None else float(trainer.loss.detach())
    found = [
        name
        for name, value in (("loss", loss), ("score", trainer.fitness))
        if value is not None and not math.isfinite(value)
    ]
    for name, tensors in (("weights", model.state_dict().values()), ("gradients", gradients)):
        floating = [tensor for tensor in tensors if torch.is_tensor(tensor) and tensor.is_floating_point()]
        if floating and not torch.stack([tensor.isfinite().all() for tensor in floating]).all():
            found.append(name)
    return found


def save_state(state: dict[str, Any], out: Path | HashingWriter) -> None:
    """Write a state to a file; see :func:`write_tensors`."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)  # a third of the time; the file is verified by its SHA-256
    try:
        write_tensors(state, out)
    finally:
        torch.serialization.set_crc32_options(before)


def write_tensors(value: dict[str, Any], out: Path | HashingWriter) -> None:
    """Write a file that ``torch.load`` reads.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    try:
        with contextlib.nullcontext(out) if isinstance(out, HashingWriter) else out.open("wb") as file:
            torch.save(value, file)
    except RuntimeError as error:  # torch fails again while closing its archive, and raises only that error
        if not isinstance(error.__context__, OSError):
            raise
        path = None if isinstance(out, HashingWriter) else str(out)
        raise OSError(error.__context__.errno, error.__context__.strerror, path) from error


def load_state(path: Path) -> dict[str, Any]:
    """Read a state.

    Raises:
        TrainingError: it is not a state of this version.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != _FORMAT:
            raise TrainingError(f"{path} has the format {state['format']!r}, not {_FORMAT!r}")
    except TrainingError:
        raise
    except Exception as error:
        raise TrainingError(f"{path} is not a state of a training ({type(error).__name__})") from error
    return state


def restore(trainer: Any, state: dict[str, Any]) -> None:
    """Restore a state into a trainer whose model, optimizer and loaders are built; not the gradients.

    The trainer's loop clears gradients before its first epoch, so :func:`restore_gradients` follows later.
    """
    from ultralytics.utils.torch_utils import unwrap_model

    model = unwrap_model(trainer.model)
    model.load_state_dict(state["model"])
    if trainer.ema and state["ema"] is not None:
        trainer.ema.ema.load_state_dict(state["ema"])
        trainer.ema.updates = state["ema_updates"]
    optimizer = deepcopy(state["optimizer"])  # the optimizer keeps these tensors and changes them in place
    for saved, group in zip(optimizer["param_groups"], trainer.optimizer.param_groups, strict=True):
        saved["fused"] = group.get("fused")  # the device, not the checkpoint, selects the kernel
    trainer.optimizer.load_state_dict(optimizer)
    if state["scaler"]:  # empty if it was trained on the CPU
        trainer.scaler.load_state_dict(state["scaler"])
    vars(trainer.stopper).update(state["stopper"])
    trainer.best_fitness = state["best_fitness"]
    if state["criterion_updates"] is not None:
        if getattr(model, "criterion", None) is None:
            model.criterion = model.init_criterion()
        model.criterion.updates = state["criterion_updates"] - 1
        model.criterion.update()
    trainer.scheduler.last_epoch = state["epoch"] - 1


def restore_gradients(trainer: Any, state: dict[str, Any]) -> None:
    """Restore the gradients held for a later optimizer step, and the time of the last step."""
    from ultralytics.utils.torch_utils import unwrap_model

    held = state["gradients"]
    for name, parameter in unwrap_model(trainer.model).named_parameters():
        parameter.grad = held[name].to(parameter.device).clone() if name in held else None
    trainer.last_step = state["last_step"]
