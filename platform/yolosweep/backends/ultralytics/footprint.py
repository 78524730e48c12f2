"""The footprint of a checkpoint: its size, and how long one image takes.

The model is used as it is deployed: layers fused, 32 bits, one square image at a time on the device of its training.
Random generators are left as they were, and nothing is written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from yolosweep.records.footprint import Footprint

__all__ = ["footprint_of", "pass_times"]

_WARM_UP, _PASSES, _FEWEST = 5, 50, 5
_ENOUGH_S = 5.0
"""Slow models are passed through less often."""


def footprint_of(weights: Path, *, imgsz: int, on_gpu: bool, device: str) -> Footprint:
    """Return the footprint of a checkpoint.

    Args:
        weights: the checkpoint of a training of this process.
        imgsz: image size.
        on_gpu: whether it was trained on a GPU.
        device: what to call the device.
    """
    import torch
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.utils.torch_utils import get_flops, get_num_params

    with _same_randomness():
        model = AutoBackend(
            model=str(weights), device=torch.device("cuda:0" if on_gpu else "cpu"), verbose=False
        ).eval()
        first = next(model.model.parameters())
        image = torch.rand(1, first.shape[1], imgsz, imgsz, generator=torch.Generator().manual_seed(0))
        (times,) = pass_times([model], image, enough_s=_ENOUGH_S)
        gflops = get_flops(model.model, imgsz)
        parameters = get_num_params(model.model)
    low, _, high = quantiles(times, n=4)
    return Footprint(
        params_m=round(parameters / 1e6, 6),
        gflops=round(gflops, 4) or None,
        size_mb=round(weights.stat().st_size / 1e6, 3),
        latency_ms=round(median(times), 4),
        latency_spread_ms=round(high - low, 4),
        passes=len(times),
        device=device,
        threads=torch.get_num_threads(),
        imgsz=imgsz,
    )


def pass_times(models: Sequence[Any], image: Any, *, enough_s: float | None = None, passes: int = _PASSES) -> Any:
    """Return the milliseconds of each forward pass, by model, after passes that warm up.

    The models take turns, so that a busy machine slows all alike.

    Args:
        models: Ultralytics' ``AutoBackend``, each on its device.
        image: a batch of one.
        enough_s: stop after this long, once there are a few passes; None: never.
        passes: passes of each model.
    """
    import torch

    times: list[list[float]] = [[] for _ in models]
    started = perf_counter()
    with torch.inference_mode():
        for done in range(_WARM_UP + passes):
            if enough_s is not None and done >= _WARM_UP + _FEWEST and perf_counter() - started > enough_s:
                break
            for model, taken in zip(models, times, strict=True):
                given = image.to(model.device)
                _wait(model.device)
                begun = perf_counter()
                model(given)
                _wait(model.device)
                taken.append(1000 * (perf_counter() - begun))
    return [taken[_WARM_UP:] for taken in times]


def _wait(device: Any) -> None:
    """Wait for what a GPU still computes."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _same_randomness() -> Iterator[None]:
    """Leave the random generators as they are."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
