"""Making a process fit for Ultralytics: its own settings, no network, no integrations, nothing written beside the data.

Everything here happens once per process, before ultralytics is imported, because it reads its environment at import.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from yolosweep.backends.ultralytics import data_guard as untrusted
from yolosweep.backends.ultralytics import label_cache
from yolosweep.backends.ultralytics.label_cache import scan_findings
from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["enter", "log_to", "scan_findings", "see_only"]


@functools.lru_cache(maxsize=1)
def enter(*, offline: bool = True) -> None:
    """Prepare this process and import ultralytics.

    - ``YOLO_CONFIG_DIR`` lies in our own cache folder: the user's own Ultralytics settings are never written.
    - Trials never touch the network: weights were fetched before, the font is matplotlib's, no telemetry.
    - Label caches go to our own cache folder (``label_cache``), and ``.npy`` files beside the
      user's images are neither read nor written.
    - A JPEG with a cut-off end is reported, not rewritten in place.
    - A description of data is only read: nothing it names is downloaded, unpacked or run.
    - Checkpoints are loaded as weights only: what a pickle would run is refused.

    Args:
        offline: False only where weights may be downloaded.
    """
    config = cache_folder() / "ultralytics-config"
    os.environ["YOLO_CONFIG_DIR"] = str(config)
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["YOLO_VERBOSE"] = "false"  # its greetings at import; a training logs to its own file (log_to)
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    os.environ.setdefault("MPLBACKEND", "Agg")
    if offline:
        os.environ["YOLO_OFFLINE"] = "true"
    folder = config / "Ultralytics"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(config / ".lock"):  # the first import on a machine writes the settings file
        _place_font(folder)
        if not (folder / "settings.json").exists():
            import ultralytics.utils  # noqa: F401
    _patch()


def see_only(gpus: float) -> None:
    """Let torch find no GPU where none was granted (0): such a process trains as on a machine without.

    Ray names the GPUs that it grants, but leaves the environment alone where it grants none. To be called before torch
    is asked for GPUs for the first time: the answer stays.
    """
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _place_font(folder: Path) -> None:
    """Put a font where Ultralytics looks for Arial, or it would try to fetch one."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            write_atomic(folder / name, font)


def _patch() -> None:
    """Replace the functions of Ultralytics that reach outside of a training."""
    import ultralytics.data.base as base
    import ultralytics.data.utils as data_utils
    import ultralytics.engine.trainer as trainer
    import ultralytics.engine.validator as validator
    import ultralytics.nn.tasks as tasks
    from ultralytics.utils import callbacks

    label_cache.install()
    untrusted.install(trainer, validator)
    base.BaseDataset.npy_files = property(_npy_files, _set_npy_files)
    data_utils._replace_image = lambda im_file, write: None
    tasks.SAFE_LOAD = True  # read from the environment at import, and somebody may have imported it before us
    trainer.check_amp = _amp_works
    callbacks.add_integration_callbacks = lambda instance: None


def _npy_files(dataset: Any) -> Any:
    return dataset.__dict__["npy_files"]


def _set_npy_files(dataset: Any, files: list[Path]) -> None:
    """Name no ``.npy`` files beside the images: Ultralytics reads, rewrites and deletes them in every cache mode.

    Kept in the instance, where loader workers that start anew, without this property, find it too.
    """
    dataset.__dict__["npy_files"] = [Path(os.devnull) / "none"] * len(files)


def _amp_works(model: Any) -> bool:
    """Tell whether automatic mixed precision is safe, without the inference test that downloads weights.

    Follows Ultralytics' own ``check_amp``: off on CPU and on the GTX 16xx / T4xx families it lists as anomalous.
    """
    import re

    import torch

    device = next(model.parameters()).device
    if device.type in {"cpu", "mps"}:
        return False
    bad = r"(nvidia|geforce|quadro|tesla).*?(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)"
    return device.type != "cuda" or not re.search(bad, torch.cuda.get_device_name(device), re.IGNORECASE)


@contextlib.contextmanager
def log_to(file: Path) -> Iterator[None]:
    """Send Ultralytics' log to ``file`` and nowhere else while the ``with`` block runs; after it, nowhere."""
    from ultralytics.utils import LOGGER

    for handler in list(LOGGER.handlers):
        LOGGER.removeHandler(handler)
    LOGGER.addHandler(logging.NullHandler())
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)  # a closed one would open its file again
        handler.close()
