"""Making a process fit for Ultralytics: its own settings, no network, no integrations, nothing written beside the data.

Everything here happens once per process, before ultralytics is imported, because it reads its environment at import.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

from yolosweep.durable import cache_folder, write_atomic

__all__ = ["enter", "log_to", "scan_findings"]

_findings: list[str] = []


@functools.lru_cache(maxsize=1)
def enter(*, offline: bool = True) -> None:
    """Prepare this process and import ultralytics.

    - ``YOLO_CONFIG_DIR`` lies in our own cache folder: the user's own Ultralytics settings are never written.
    - Trials never touch the network: weights were fetched before, the font is matplotlib's, no telemetry.
    - Label caches go to our own cache folder: Ultralytics would write (and unpickle) them beside the user's images.
    - A JPEG with a cut-off end is reported, not rewritten in place.

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


def _place_font(folder: Path) -> None:
    """Put a font where Ultralytics looks for Arial, or it would try to fetch one."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            write_atomic(folder / name, font)


def _patch() -> None:
    """Replace the four functions of Ultralytics that reach outside of a training."""
    import ultralytics.data.dataset as dataset
    import ultralytics.data.utils as data_utils
    import ultralytics.engine.trainer as trainer
    from ultralytics.utils import callbacks

    load, save = data_utils.load_dataset_cache_file, data_utils.save_dataset_cache_file

    def load_ours(path: Path) -> dict[str, Any]:
        found: dict[str, Any] = load(_cache_file(path))
        _findings.extend(str(message) for message in found.get("msgs", ()))
        return found

    def save_ours(prefix: str, path: Path, x: dict[str, Any], version: str) -> None:
        _findings.extend(str(message) for message in x.get("msgs", ()))
        target = _cache_file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=target.parent)) / target.name
        try:
            save(prefix, draft, x, version)
            if draft.exists():
                draft.replace(target)
        finally:
            shutil.rmtree(draft.parent, ignore_errors=True)

    dataset.load_dataset_cache_file, dataset.save_dataset_cache_file = load_ours, save_ours
    data_utils._replace_image = lambda im_file, write: None
    trainer.check_amp = _amp_works
    callbacks.add_integration_callbacks = lambda instance: None


def _cache_file(path: Path) -> Path:
    """Return our own place for a label cache that Ultralytics wants at ``path``."""
    return cache_folder() / "labels" / (hashlib.sha256(os.fsencode(path)).hexdigest()[:24] + ".cache")


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


def scan_findings() -> list[str]:
    """Return what the label scans of this process reported since the last call: skipped images, odd labels."""
    found, _findings[:] = list(dict.fromkeys(_findings)), []
    return found


def log_to(file: Path) -> logging.Handler:
    """Send Ultralytics' log to ``file`` and nowhere else; the caller removes the returned handler."""
    from ultralytics.utils import LOGGER

    for handler in list(LOGGER.handlers):
        LOGGER.removeHandler(handler)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    return handler
