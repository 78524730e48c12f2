"""``python -m yolosweep.backends.ultralytics.gpu_probe``: what torch and OpenCV see here, as JSON.

A separate program, so that probing takes no GPU memory in the caller and a crashing library ends only the probe.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

__all__ = ["seen"]


def seen() -> dict[str, Any]:
    """Return what there is, and why something cannot be used, or ''.

    The keys are ``gpus`` (their names), ``gpu_memory_mb`` (of the smallest), ``gpu_error`` and ``opencv_error``.
    """
    return {**_gpus(), "opencv_error": _opencv()}


def _gpus() -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as warned:  # torch reports a driver that is too old as a warning
        warnings.simplefilter("always")
        try:
            import torch

            names, broken, memory = list[str](), list[str](), list[float]()
            for index in range(torch.cuda.device_count()):
                try:
                    names.append(_working(torch, index))
                    memory.append(torch.cuda.get_device_properties(index).total_memory / 2**20)
                except Exception as error:  # of any type (torch has several); the other GPUs may work
                    broken.append(f"GPU {index}: {_line(error)}")
            found = {"gpus": names, "gpu_memory_mb": min(memory, default=None)}
            if broken:
                return {**found, "gpu_error": "; ".join(broken)}
            built = "no GPU is visible to it" if torch.version.cuda else "this torch is built without CUDA"
        except (ImportError, OSError, RuntimeError) as error:
            return {"gpus": [], "gpu_error": _line(error)}
    cuda = [str(one.message) for one in warned if "CUDA" in str(one.message) or "driver" in str(one.message)]
    return {**found, "gpu_error": "" if names else _line(cuda[0] if cuda else built)}


def _working(torch: Any, index: int) -> str:
    """Return the name of a GPU; raises if it cannot compute."""
    square = torch.ones(8, 8, device=f"cuda:{index}")
    square @ square
    torch.cuda.synchronize(index)
    return str(torch.cuda.get_device_name(index))


def _opencv() -> str:
    try:
        import cv2  # noqa: F401
    except (ImportError, OSError) as error:
        return _line(error)
    return ""


def _line(what: object) -> str:
    return (str(what).strip().splitlines() or [type(what).__name__])[0][:300]


if __name__ == "__main__":
    print(json.dumps(seen()))
