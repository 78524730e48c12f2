"""The environment of a process that trains: own settings, no network, no integrations, nothing beside the data.

Everything here happens once per process, before ultralytics is imported, because it reads its environment at import.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from yolosweep.backends.ultralytics.label_cache import scan_findings
from yolosweep.backends.ultralytics.patches import apply_patches
from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = ["enter", "log_to", "scan_findings", "see_only"]


@functools.lru_cache(maxsize=1)
def enter(*, offline: bool = True) -> None:
    """Prepare this process and import ultralytics.

    - ``YOLO_CONFIG_DIR`` is in our own cache folder: the user's own Ultralytics settings are never written.
    - Trials never use the network: weights were downloaded before, the font is matplotlib's, there is no telemetry.
    - Checkpoints are loaded as weights only: a pickle that would run code is refused.
    - All of :mod:`yolosweep.backends.ultralytics.patches` that holds for a whole process is applied.

    Args:
        offline: False only to download weights.
    """
    config = cache_folder() / "ultralytics-config"
    os.environ["YOLO_CONFIG_DIR"] = str(config)
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["YOLO_VERBOSE"] = "false"  # its banner at import; a training logs to its own file (log_to)
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
    apply_patches()


def see_only(gpus: float) -> None:
    """Hide all GPUs from torch if none was granted (0), so that training runs as on a machine without.

    Ray names the GPUs it grants, but leaves the environment alone if it grants none. Call this before torch looks for
    GPUs for the first time: it remembers the answer.
    """
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _place_font(folder: Path) -> None:
    """Put a font where Ultralytics looks for Arial; otherwise it would download one."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            write_atomic(folder / name, font)


@contextlib.contextmanager
def log_to(file: Path) -> Iterator[None]:
    """Send Ultralytics' log to ``file`` only while the ``with`` block runs; afterwards nowhere."""
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
