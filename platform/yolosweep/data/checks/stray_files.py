"""Text files next to the labels that belong to no image, and class lists that contradict the dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from yolosweep.data.model.dataset_items import Item, Layout
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import read_regular
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["autolabel_findings", "stray_file_findings"]

_MANIFEST = "autolabel.json"
_MANIFEST_BYTES = 1 << 28
_ABOVE = 5
"""Folders searched for it: the label folder and its parents."""

_CLASS_LISTS = {"classes.txt", "obj.names", "predefined_classes.txt", "_darknet.labels", "labels.txt"}
_NO_LABELS = {*("train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt"), *_CLASS_LISTS}
_MOST_BYTES = 1 << 16


def stray_file_findings(layout: Layout) -> list[Finding]:
    """Return findings about text files in the label folders that belong to no image of the dataset."""
    items = [item for split in layout.splits.values() for item in split if item.label is not None]
    ours = {os.fspath(item.label) for item in items if item.label is not None}
    folders: dict[Path, set[Path]] = {}
    for item in items:
        if item.label is not None:
            folders.setdefault(item.label.parent, set()).add(item.image.parent)
    orphans: list[Path] = []
    others: list[Path] = []
    lists: set[Path] = set()
    for folder, image_folders in sorted(folders.items()):
        texts = [name for name in _names(folder) if name.endswith((".txt", ".names", ".labels"))]
        lists.update(
            place / name for place in (folder, folder.parent) for name in _CLASS_LISTS if (place / name).is_file()
        )
        unused = [name for name in texts if os.path.join(folder, name) not in ours]
        others += (folder / name for name in unused if _known_name(name))
        left = [name for name in unused if not _known_name(name) and name.endswith(".txt")]
        if left:
            stems = {
                name.rpartition(".")[0] for place in image_folders for name in _names(place) if name[-4:] != ".txt"
            }
            orphans += (folder / name for name in left if name[:-4] not in stems)
    found = []
    if orphans:
        message = f"{len(orphans)} label files have no image: either images are missing, or the files are leftovers"
        found.append(finding("label-orphan", message, file=str(orphans[0]), count=len(orphans)))
    if others:
        names = ", ".join(sorted({file.name for file in others})[:3])
        message = f"{len(others)} text files next to the labels are not label files ({names}): they are not read"
        found.append(finding("label-stranger", message, file=str(others[0]), count=len(others)))
    return found + _class_lists(sorted(lists), layout)


def autolabel_findings(split: str, items: Sequence[Item]) -> list[Finding]:
    """Return a finding about labels that ``yolosweep autolabel`` wrote: a manifest in a parent folder lists them."""
    folders = {item.label.parent for item in items if item.label is not None}
    drawn: dict[Path, set[str] | None] = {}
    for folder in folders:
        place = next((place for place in [folder, *folder.parents][:_ABOVE] if (place / _MANIFEST).is_file()), None)
        if place is not None:
            drawn[folder] = _drawn(place, folder)
    labelled = [
        item.label
        for item in items
        if item.label is not None
        and item.label.parent in drawn
        and ((names := drawn[item.label.parent]) is None or item.label.name in names)
    ]
    if not labelled:
        return []
    message = f"the labels of {len(labelled)} of {len(items)} {split} images were predicted by a model"
    code = "label-machine" if split == "train" else "label-machine-eval"
    return [finding(code, message, file=str(labelled[0]), split=split, count=len(labelled))]


def _drawn(place: Path, folder: Path) -> set[str] | None:
    """Return the label files of a folder that the manifest lists; None if the manifest is unreadable."""
    within = "" if folder == place else f"{folder.relative_to(place).as_posix()}/"
    try:
        files = json.loads(read_regular(place / _MANIFEST, _MANIFEST_BYTES))["files"]
        labels = [str(file["label"]) for file in files]
    except (DataError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return {label[len(within) :] for label in labels if label.startswith(within)}


def _known_name(name: str) -> bool:
    return name.lower() in _NO_LABELS or name.lower().startswith(("readme", "autosplit_"))


def _class_lists(files: Iterable[Path], layout: Layout) -> list[Finding]:
    """Return a warning for each class list that contradicts ``names:``."""
    found = []
    names = [layout.names[number] for number in sorted(layout.names)]
    for file in files:
        listed = _lines(file)
        if listed and listed != names:
            at = next((n for n, pair in enumerate(zip(listed, names, strict=False)) if pair[0] != pair[1]), None)
            what = (
                f"{len(listed)} classes, not {len(names)}"
                if at is None
                else f"class {at} is {listed[at][:60]!r} there and {names[at][:60]!r} in names:"
            )
            message = f"{file.name} next to the labels contradicts names: ({what})"
            found.append(finding("label-classes-differ", message, file=str(file)))
    return found


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            return []
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _names(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError:
        return []
