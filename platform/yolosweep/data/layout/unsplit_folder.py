"""A folder of labelled images without a data.yaml: a dataset that is not split yet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from yolosweep.data.layout.image_lists import ImageCollector
from yolosweep.data.model.dataset_items import Item, Layout
from yolosweep.data.model.finding_codes import OUTSIDE, finding
from yolosweep.data.model.safe_paths import IMAGE_SUFFIXES, AllowedRoots, is_image, label_of
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["folder_layout", "listed_names"]

_NAMES = ("classes.txt", "labels/classes.txt", "obj.names")
_MOST_BYTES = 1 << 20
_MOST_CLASSES = 10_000


def folder_layout(folder: Path, task: str, names: Mapping[int, str] | None = None, *, outside: bool = False) -> Layout:
    """Return all images below a folder as one split, ``train``, for :func:`split_dataset`.

    Labels are where Ultralytics looks: the last ``images`` folder of a path becomes ``labels``, else next to the
    image. Links to folders are not followed. In classify every subfolder is a class.

    Args:
        folder: Contains images, or ``images/`` and ``labels/``, or one folder per class.
        task: the experiment's task.
        names: Class names by number; by default those of ``classes.txt``, else ``class_0`` and so on up to the
            highest number in the label files.
        outside: Also use files that links lead to outside the folder.

    Raises:
        DataError: There are no images, or no classes.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise DataError(f"data: {folder} is not a folder")
    if task == "classify":
        return _class_folders(folder)
    collector = ImageCollector("train", AllowedRoots([folder]), outside=outside)
    collector.walk(folder)
    if not collector.images:
        why = collector.counter.summary() or f"formats read: {', '.join(sorted(IMAGE_SUFFIXES))}"
        fix = f"; to use them, add --allow {OUTSIDE}" if collector.counter.count(OUTSIDE) else ""
        raise DataError(f"data: there are no images in {folder}: {why}{fix}")
    items = tuple(Item(image, label_of(image)) for image in map(Path, collector.images))
    given = dict(names or {}) or listed_names(folder)
    found = given or _numbered(items)
    if not found:
        raise DataError(
            f"data: no label file was found for the {len(items)} images in {folder}; expected {items[0].label}"
        )
    return Layout(
        task=task, source=folder, root=folder, names=found, splits={"train": items},
        findings=(*collector.counter.findings(), *([] if given else [_generated(found, folder)])),
    )  # fmt: skip


def _generated(names: dict[int, str], folder: Path) -> Finding:
    called = "class: it is called class_0" if len(names) == 1 else f"classes: they are called {names[0]} and so on"
    said = f"no file names the {called}"
    return finding("yaml-names-missing", f"{said}; list the real names in classes.txt", file=str(folder))


def _class_folders(folder: Path) -> Layout:
    classes = sorted(place.name for place in folder.iterdir() if place.is_dir() and any(_images(place)))
    if len(classes) < 2:
        raise DataError(f"data: {folder} has {len(classes)} folders with images; at least two classes are needed")
    names = dict(enumerate(classes))
    items = tuple(
        Item(image, category=number) for number, name in names.items() for image in sorted(_images(folder / name))
    )
    return Layout(task="classify", source=folder, root=folder, names=names, splits={"train": items})


def _images(folder: Path) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        yield from (Path(place, name) for name in files if is_image(name))


def listed_names(folder: Path) -> dict[int, str]:
    """Return the classes that a list in a folder names, by number; empty without one."""
    for name in _NAMES:
        file = folder / name
        if file.is_file() and file.stat().st_size <= _MOST_BYTES:
            lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    return {}


def _numbered(items: tuple[Item, ...]) -> dict[int, str]:
    """Return generated names up to the highest class number in the label files."""
    highest = -1
    for item in items:
        if item.label is None or not item.label.is_file() or item.label.stat().st_size > _MOST_BYTES:
            continue
        for line in item.label.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            word = line.replace(",", " ").split(maxsplit=1)[:1]
            if word and word[0].isascii() and word[0].isdecimal() and len(word[0]) < 6:
                highest = max(highest, int(word[0]))
    if highest >= _MOST_CLASSES:
        raise DataError(f"data: a label file names class {highest}; name the classes in a classes.txt")
    return {number: f"class_{number}" for number in range(highest + 1)}
