"""The built-in sample datasets, drawn once into the user's cache folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from yolosweep.errors import DataError
from yolosweep.experiment.schema import SAMPLES as NAMED
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["SAMPLES", "sample_folder"]

SAMPLES = tuple(name.removeprefix("sample:") for name in NAMED)
"""Names of the samples."""

_EDITION = "1"
"""Increment when the drawing changes, so that an old cache is not reused."""


def sample_folder(source: str) -> Path:
    """Return the folder of a ``sample:<name>``, drawing it on first use (atomically, under a lock).

    Raises:
        DataError: The sample does not exist.
    """
    name = source.partition(":")[2]
    if name not in SAMPLES:
        raise DataError(f"data: there is no sample {name!r}; available: {', '.join(SAMPLES)}")
    folder = cache_folder() / "samples" / f"{name}-{_EDITION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            from yolosweep.data.samples.parking_dataset import draw_parking

            draft = Path(tempfile.mkdtemp(dir=folder.parent))
            try:
                draw_parking(draft)
                draft.replace(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder
