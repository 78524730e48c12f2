"""What the files of a dataset mean for a training: per kind and split one finding, with the first place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from yolosweep.data.codes import finding
from yolosweep.data.items import Item, Labels, Layout, Pictures
from yolosweep.records import Finding

__all__ = ["content_findings"]

_MANIFEST = "autolabel.json"
_MANY = 0.5
"""Share of a split's images without a label file from which they were hardly meant as background."""

_NO_LABELS = ("classes.txt", "labels.txt", "names.txt", "notes.txt", "README.txt", "train.txt", "val.txt", "test.txt")
"""What labelling tools leave among the label files."""

_LABELS = {
    "label-class-range": "have a class that names: does not have",
    "label-class-name": "have a class name where its number belongs",
    "label-class-fraction": "have a class number that is not whole",
    "label-pixels": "have coordinates in pixels, not shares of the image",
    "label-outside": "have coordinates outside of the image",
    "label-negative-size": "have a negative width or height",
    "label-mixed": "mix boxes and outlines",
    "label-columns": "do not have the number of values that the task needs",
    "label-separator": "are separated by commas or semicolons",
    "label-not-number": "hold something that is not a number",
    "label-not-text": "are not UTF-8 text",
    "label-nan": "hold nan or inf",
    "label-huge": "are larger than 8 MiB",
    "label-duplicate-row": "are there twice",
    "label-zero-area": "have no width or no height, and are trained all the same",
    "label-partly-outside": "reach over the edge of the image, and are trained as they are",
    "label-rounding": "are a hair outside of 0 to 1, and are clipped",
}
_LOST = "; Ultralytics would leave out the whole image and say nothing"
_IMAGES = {
    "image-unreadable": "cannot be decoded" + _LOST,
    "image-empty": "have no content" + _LOST,
    "image-not-a-file": "are no regular files",
    "image-huge": "are too large to be decoded safely (179 million pixels)",
    "image-small": "are smaller than 10 pixels" + _LOST,
    "image-format": "are in a format that Ultralytics does not take" + _LOST,
    "image-cut-off": "do not end as a JPEG ends; they are not changed here, and trained as they are",
    "image-suffix": "are in another format than their name says; they are read by their content",
    "image-frames": "have several frames, of which the first is trained",
    "image-deep": "have more than 8 bits per value, of which the upper 8 are trained",
    "image-cmyk": "are in CMYK and are converted to RGB",
    "image-alpha": "have a transparency, which is dropped: hidden colours come to light",
}


def content_findings(layout: Layout, pictures: Pictures, labels: Labels) -> list[Finding]:
    """Return what is wrong with, or odd about, the images and label files of a dataset."""
    found: list[Finding] = []
    for split, items in layout.splits.items():
        found += _of_images(split, items, pictures)
        if layout.task != "classify":
            found += _of_labels(split, items, labels)
            found += _missing(split, items, labels)
            found += _by_machine(split, items)
    return [*found, *_stray(layout)]


def _of_images(split: str, items: tuple[Item, ...], pictures: Pictures) -> Iterator[Finding]:
    by: dict[str, list[Path]] = {}
    turned: list[Path] = []
    for image in dict.fromkeys(item.image for item in items):
        picture = pictures[image]
        if picture.fault:
            by.setdefault(picture.fault, []).append(image)
        if picture.orientation != 1 and items[0].category is None:
            turned.append(image)
    for code, images in by.items():
        first = pictures[images[0]]
        detail = f" ({first.detail})" if first.detail else ""
        message = f"{_of(len(images), len(items), 'image', split)} {_IMAGES[code]}{detail}"
        yield finding(code, message, file=str(images[0]), split=split, count=len(images))
    if turned:
        message = (
            f"{_of(len(turned), len(items), 'image', split)} are stored turned (EXIF); training sees them upright, so "
            "labels that were drawn on the turned picture are wrong"
        )
        yield finding("image-rotated", message, file=str(turned[0]), split=split, count=len(turned))


def _of_labels(split: str, items: tuple[Item, ...], labels: Labels) -> Iterator[Finding]:
    by: dict[str, list[tuple[Path, int | None, str]]] = {}
    files: dict[str, set[Path]] = {}
    for place in dict.fromkeys(item.label for item in items):
        if place is None or place not in labels:
            continue
        for code, line, detail in labels[place].problems:
            by.setdefault(code, []).append((place, line, detail))
            files.setdefault(code, set()).add(place)
    for code, places in by.items():
        file, line, detail = places[0]
        rows = "label files" if line is None else "label rows"
        lost = _LOST if finding(code, "").severity == "error" else ""
        message = f"{len(places)} {rows} of {split} in {len(files[code])} files {_LABELS[code]} ({detail}){lost}"
        yield finding(code, message, file=str(file), line=line, split=split, count=len(places))


def _missing(split: str, items: tuple[Item, ...], labels: Labels) -> Iterator[Finding]:
    without = [item for item in items if item.label is None or not labels[item.label].sha256]
    if not without or len(without) == len(items):  # of none at all the layout has told
        return
    share = len(without) / len(items)
    code = "label-missing-most" if share > _MANY else "label-missing"
    message = f"{_of(len(without), len(items), 'image', split)} have no label file and are trained as background"
    first = without[0]
    yield finding(code, message, file=str(first.label or first.image), split=split, count=len(without))


def _by_machine(split: str, items: tuple[Item, ...]) -> Iterator[Finding]:
    """Yield labels that ``yolosweep autolabel`` drew: its folders hold a manifest."""
    folders = {item.label.parent for item in items if item.label is not None}
    drawn = {
        folder for folder in folders if any((place / _MANIFEST).is_file() for place in (folder, *folder.parents[:4]))
    }
    labelled = [item.label for item in items if item.label is not None and item.label.parent in drawn]
    if labelled:
        code = "label-machine" if split == "train" else "label-machine-eval"
        message = f"the labels of {_of(len(labelled), len(items), 'image', split)} were drawn by a model"
        yield finding(code, message, file=str(labelled[0]), split=split, count=len(labelled))


def _stray(layout: Layout) -> Iterator[Finding]:
    """Yield label files that belong to no image: most often images were removed, or renamed."""
    wanted = {item.label for items in layout.splits.values() for item in items if item.label is not None}
    stray: list[Path] = []
    for folder in sorted({place.parent for place in wanted}):
        with contextlib.suppress(OSError):
            names = (entry.name for entry in os.scandir(folder) if entry.name.endswith(".txt"))
            stray += (folder / name for name in names if folder / name not in wanted and name not in _NO_LABELS)
    if stray:
        message = f"{len(stray)} label files belong to no image of any split"
        yield finding("label-stray", message, file=str(min(stray)), count=len(stray))


def _of(count: int, of: int, noun: str, split: str) -> str:
    return f"{count} of {of} {noun}s of {split}"
