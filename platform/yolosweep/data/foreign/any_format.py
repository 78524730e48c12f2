"""A data set in YOLO's layout or in another format, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolosweep.data.foreign.format_detection import SUFFIXES, foreign_format, read_foreign
from yolosweep.data.foreign.text_formats import is_dota
from yolosweep.data.foreign.yolo_conversion import as_layout
from yolosweep.data.layout.image_lists import ImageCollector
from yolosweep.data.layout.layout_reader import read_layout
from yolosweep.data.model.dataset_items import Layout
from yolosweep.data.model.safe_paths import AllowedRoots, label_of, printable, read_regular
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["foreign_layout", "named_format", "read_dataset"]

_LABEL_BYTES = 8 << 20


def read_dataset(
    source: Path,
    task: str,
    *,
    roots: Sequence[Path] = (),
    outside: bool = False,
    required: Sequence[str] = ("train", "val"),
) -> Layout:
    """Return where images and labels of a data set are; see :func:`yolosweep.data.layout.layout_reader.read_layout`.

    A file with labels of another format, or a folder with such files and without a data.yaml, is converted: its label
    files are in the cache folder, its images stay where they are.

    Raises:
        DataError: no run could start on it.
    """
    source = Path(source).absolute()
    if task != "classify" and _may_be_foreign(source):
        layout = foreign_layout(source, task, outside=outside, required=required, roots=roots)
        if layout is not None:
            return layout
    return read_layout(source, task, roots=roots, outside=outside, required=required)


def _may_be_foreign(source: Path) -> bool:
    if source.is_file():
        return source.suffix.lower() in SUFFIXES
    return source.is_dir() and not any(source.glob("*.yaml")) and not any(source.glob("*.yml"))


def foreign_layout(
    source: Path,
    task: str,
    *,
    outside: bool = False,
    required: Sequence[str] = ("train",),
    roots: Sequence[Path] = (),
) -> Layout | None:
    """Return a data set whose labels have another format; None for a folder whose labels do not.

    Raises:
        DataError: a file that was named cannot be read, or no run could start on the data set.
    """
    images, findings = _images(source, outside, roots)
    if not images and source.is_dir():
        return None
    if source.is_dir() and _labelled(images):
        return None
    found = read_foreign(source, images)
    if found is None:
        if source.is_file():
            raise DataError(f"data: {printable(source)} is neither a data.yaml nor labels of a known format")
        return None
    return as_layout(found, source, task, required, findings)


def _images(source: Path, outside: bool, roots: Sequence[Path]) -> tuple[list[Path], list[Finding]]:
    folder = source if source.is_dir() else source.parent
    if source.is_file() and folder.name.lower() in ("annotations", "labels"):
        folder = folder.parent
    collector = ImageCollector("train", AllowedRoots([folder, *roots]), outside=outside)
    collector.walk(folder)
    left = [one.model_copy(update={"split": None}) for one in collector.counter.findings()]
    return list(map(Path, collector.images)), left


def _labelled(images: Sequence[Path]) -> bool:
    """Return whether an image has a label file where Ultralytics looks, which is not DOTA's."""
    for image in images:
        label = label_of(image)
        if label.is_file():
            return not is_dota(read_regular(label, _LABEL_BYTES).decode("utf-8", errors="replace"))
    return False


def named_format(layout: Layout) -> str:
    """Return the format of the labels in the folder of a data set that has none that Ultralytics reads."""
    images = [item.image for items in layout.splits.values() for item in items]
    try:
        return foreign_format(layout.root, images)
    except DataError:
        return ""
