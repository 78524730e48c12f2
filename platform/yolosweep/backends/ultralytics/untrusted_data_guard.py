"""Descriptions of data from untrusted sources, checked before Ultralytics reads them.

A ``data.yaml`` can name code under ``download:``, which Ultralytics runs if images are missing. yolosweep stages data
itself, so in its processes nothing is downloaded, unpacked or run, whatever a run folder or a bucket contains.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["folders_only", "reading_only", "unconverted"]

_LARGEST = 64 << 20
"""Bytes of a data.yaml; ImageNet-21k's names take 1 MB."""


def reading_only(read: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return ``check_det_dataset`` without downloading, unpacking or running anything."""

    def check_det_dataset(dataset: str | Path, autodownload: bool = False, split: str = "") -> dict[str, Any]:
        file = Path(dataset)
        if file.suffix not in (".yaml", ".yml") or not file.is_file():
            raise FileNotFoundError(f"{file} is not a data.yaml on this machine")
        if file.stat().st_size > _LARGEST:
            raise ValueError(f"{file} is larger than {_LARGEST >> 20} MiB: it is not a data.yaml")
        if b"\0" in file.read_bytes():  # Ultralytics unpacks an archive, whatever its name
            raise ValueError(f"{file} is not a text file")
        return read(dataset, autodownload=False, split=split)

    return check_det_dataset


def folders_only(read: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return ``check_cls_dataset`` for folders that are split already."""

    def check_cls_dataset(dataset: str | Path, split: str = "") -> dict[str, Any]:
        if not Path(dataset, "train").is_dir():  # without it Ultralytics would copy the images into a split of its own
            raise FileNotFoundError(f"{dataset} is not a folder of images with train/ in it")
        return read(dataset, split=split)

    return check_cls_dataset


def unconverted(data: Any, *rest: Any, **named: Any) -> Any:
    """Return the data as they are, in place of ``convert_ndjson_to_yolo_if_needed``."""
    return data
