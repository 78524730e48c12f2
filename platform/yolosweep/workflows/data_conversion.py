"""A data set in another format as a YOLO data set: a copy in a new folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from yolosweep.data import OUTSIDE
from yolosweep.data.foreign.any_format import foreign_layout
from yolosweep.data.model.dataset_items import Item, Layout
from yolosweep.data.model.safe_paths import open_regular
from yolosweep.data.prepare.row_conversion import converted_rows
from yolosweep.data.source.data_location import local_path
from yolosweep.errors import DataError, UsageError
from yolosweep.records import DataConversion
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.workflows.data_split import pooled_layout
from yolosweep.workflows.progress_listener import Listener

__all__ = ["convert_data"]


def convert_data(
    source: str, target: Path, listener: Listener, *, task: str = "detect", allow: Sequence[str] = ()
) -> DataConversion:
    """Write a data set as a copy of its images with YOLO labels and a data.yaml.

    Labels of another format are converted; rows of a known other order are rewritten
    (:func:`yolosweep.data.prepare.row_conversion.converted_rows`).

    Args:
        source: a folder or a file with labels of another format, or a data.yaml.
        target: a new or empty folder.
        listener: receives the progress.
        task: ``detect``, ``segment``, ``pose`` or ``obb``.
        allow: ``file-outside`` also copies images that links lead to.

    Raises:
        DataError: the data cannot be read, or need no conversion.
        UsageError: the target is not empty, is within the source, or cannot be written.
    """
    if task == "classify":
        raise UsageError("--task classify: its labels are folders, there is nothing to convert")
    place, out = local_path(source).absolute(), target.absolute()
    _refuse_target(place, out)
    layout = foreign_layout(place, task, outside=OUTSIDE in allow) if place.is_dir() else None
    layout = layout or pooled_layout(source, task, outside=OUTSIDE in allow)
    texts, changes = converted_rows(layout)
    made = next((one.message for one in layout.findings if one.code == "file-converted"), "")
    lost = tuple(one.message for one in layout.findings if one.code == "file-converted-part")
    if not made and not changes:
        raise DataError(f"data: {source} needs no conversion that is known: yolosweep check shows its labels")
    try:
        _write(layout, texts, out, listener)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}; name another folder") from error
    return DataConversion(
        data=str(out / "data.yaml"),
        images={split: len(items) for split, items in layout.splits.items()},
        changes=(*([made] if made else []), *changes),
        left_out=lost,
    )


def _refuse_target(source: Path, out: Path) -> None:
    folder = source if source.is_dir() else source.parent
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder and is not overwritten; name another folder")
    real = Path(os.path.realpath(out))
    if source.is_dir() and real.is_relative_to(os.path.realpath(folder)):
        raise UsageError(f"{out} is within {folder}, which would then hold its own copy; name a folder beside it")


def _write(layout: Layout, texts: dict[Path, str], out: Path, listener: Listener) -> None:
    progress = listener.reading("copying the images")
    total, done = sum(map(len, layout.splits.values())), 0
    for split, items in layout.splits.items():
        for kind in ("images", "labels"):
            (out / kind / split).mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        for item in items:
            name = _name(item, taken)
            _copy(item.image, out / "images" / split / name)
            if item.label is not None and item.image in texts:
                label = out / "labels" / split / f"{name.rpartition('.')[0]}.txt"
                label.write_text(texts[item.image], encoding="utf-8")
            done += 1
            progress(done, total)
    splits = {split: f"images/{split}" for split in layout.splits}
    content = {"path": str(out), **splits, "names": layout.names, **layout.extra}
    # JSON is valid YAML and quotes every class name, so none is read as a boolean, a number or a tag.
    write_atomic(out / "data.yaml", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _name(item: Item, taken: set[str]) -> str:
    """Return a file name that no other image of the split has, whatever its suffix."""
    stem, suffix, count = item.image.stem, item.image.suffix, 1
    while stem.casefold() in taken:
        count += 1
        stem = f"{item.image.stem}-{count}"
    taken.add(stem.casefold())
    return f"{stem}{suffix}"


def _copy(image: Path, target: Path) -> None:
    stream = open_regular(image)
    if stream is None:
        raise DataError(f"data: {image} is not a regular file; remove it")
    with stream, target.open("xb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
