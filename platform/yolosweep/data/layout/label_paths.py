"""Where the label files of images are: where Ultralytics expects them, or where they really are."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from yolosweep.data.model.dataset_items import Item
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.finding_counter import FindingCounter
from yolosweep.data.model.safe_paths import AllowedRoots, label_of, printable
from yolosweep.records import Finding

__all__ = ["locate_labels"]

_NAMES = ("labels", "Labels", "label", "annotations", "Annotations", "anns", "ann")


def locate_labels(
    images: Mapping[str, Sequence[str]],
    allowed: AllowedRoots,
    counters: Mapping[str, FindingCounter],
    *,
    outside: bool = False,
) -> tuple[dict[str, tuple[Item, ...]], list[Finding]]:
    """Return the images of every split with their label paths, and the findings about them.

    If no image of a folder has a label where Ultralytics looks (``images`` to ``labels``), the likely folder with most
    of the labels is used, unless images of another folder would get the same files. Images whose label is a pipe,
    a device, a folder, or outside the allowed roots, are left out and counted.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for files in images.values():
        for file in files:
            folders[os.path.dirname(file)].append(os.path.basename(file))
    listings = _Listings(allowed, {_stem(name) for names in folders.values() for name in names})
    moved = _elsewhere(folders, listings)
    items: dict[str, tuple[Item, ...]] = {}
    findings: list[Finding] = []
    for split, files in images.items():
        placed, labelled = _placed(files, moved, listings, counters[split], outside)
        items[split] = placed
        _count_shared(placed, counters[split])
        _count_caches({item.label.parent for item in placed if item.label}, counters[split])
        if placed and not labelled:
            first = printable(placed[0].label)
            message = f"none of the {len(placed)} {split} images has a label file; the first one expected is {first}"
            findings.append(finding("file-no-labels", message, file=first, split=split, count=len(placed)))
    for folder, labels in sorted(moved.items()):
        message = (
            f"the labels of {printable(folder)} are read from {printable(labels)}; "
            f"Ultralytics would expect them in {printable(_expected(folder))}"
        )
        findings.append(finding("file-labels-elsewhere", message, file=printable(labels), count=len(folders[folder])))
    return items, findings


def _placed(
    files: Sequence[str], moved: Mapping[str, str], listings: _Listings, counter: FindingCounter, outside: bool
) -> tuple[tuple[Item, ...], int]:
    """Return the usable images with their label paths, and the number of existing labels."""
    placed, labelled = [], 0
    for file in files:
        folder, name = os.path.split(file)
        place = moved.get(folder) or _expected(folder)
        expected = os.path.join(place, _stem(name) + ".txt")
        label, there, fault = listings.find(place, name)
        if fault:
            counter.add(fault, expected)
            if not (outside and fault == "file-outside"):
                continue
        if there and label != expected:
            counter.add("file-label-case", label)
        labelled += there
        placed.append(Item(Path(file), Path(label)))
    return tuple(placed), labelled


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _expected(folder: str) -> str:
    return str(label_of(Path(folder, "x.jpg")).parent)


class _Listings:
    """Contents of label folders; each is listed once."""

    def __init__(self, allowed: AllowedRoots, stems: set[str]) -> None:
        self._allowed, self._stems = allowed, stems
        self._known: dict[str, dict[str, bool]] = {}
        self._folded: dict[str, dict[str, str]] = {}

    def names(self, folder: str) -> dict[str, bool]:
        """Return the names in a folder, each with whether it is a regular file and no link."""
        if folder not in self._known:
            try:
                with os.scandir(folder) as entries:
                    self._known[folder] = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
            except OSError:
                self._known[folder] = {}
        return self._known[folder]

    def inside(self, folder: str) -> bool:
        return self._allowed.folder(folder)[1]

    def find(self, folder: str, image: str) -> tuple[str, bool, str]:
        """Return the path of an image's label file, whether it exists, and the code of what forbids opening it."""
        names, expected = self.names(folder), _stem(image) + ".txt"
        name = expected if expected in names else self._variant(folder, image)
        if name not in names:
            return os.path.join(folder, expected), False, ""
        path = os.path.join(folder, name)
        if names[name] and self.inside(folder):
            return path, True, ""
        fault = self._allowed.file(path)[1]
        return path, True, "file-special" if fault == "file-missing" else fault

    def _variant(self, folder: str, image: str) -> str:
        """Return a label file in another spelling, or with the image's suffix: one that is no other image's."""
        if folder not in self._folded:
            spelled: dict[str, str] = {}
            for known in self.names(folder):
                spelled[_spelled(known)] = "" if _spelled(known) in spelled else known
            self._folded[folder] = spelled
        for name in (f"{_stem(image)}.txt", f"{image}.txt"):
            found = self._folded[folder].get(_spelled(name), "")
            if found and (found.casefold() == name.casefold() or _stem(found) not in self._stems):
                return found
        return ""


def _spelled(name: str) -> str:
    return name.casefold().replace(" ", "_")


def _elsewhere(folders: Mapping[str, Sequence[str]], listings: _Listings) -> dict[str, str]:
    """Map image folders without labels where Ultralytics looks to the folder that has them."""
    moved: dict[str, str] = {}
    for folder, names in folders.items():
        if any(listings.find(_expected(folder), name)[1] for name in names):
            continue
        hits = {}
        for place in _likely(folder):
            if listings.inside(place):
                hits[place] = sum(listings.find(place, name)[1] for name in names) if listings.names(place) else 0
        best = max(hits, key=lambda place: hits[place], default="")
        if best and hits[best]:
            moved[folder] = best
    shared: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        shared[moved.get(folder) or _expected(folder)].append(folder)
    for sharing in shared.values():
        stems = [stem for folder in sharing for stem in {_stem(name) for name in folders[folder]}]
        if len(sharing) > 1 and len(stems) != len(set(stems)):
            for folder in sharing:
                moved.pop(folder, None)
    return moved


def _likely(folder: str) -> list[str]:
    """Return common label folders: a sibling, a parallel tree, one folder for all, the image folder, or a subfolder."""
    parts = folder.split("/")
    places = [folder]
    for index in range(len(parts) - 1, 0, -1):
        for name in _NAMES:
            places.append("/".join([*parts[:index], name, *parts[index + 1 :]]))
            places.append("/".join([*parts[:index], name, *parts[index:]]))
            places.append("/".join([*parts[:index], name]))
    places += [f"{folder}/{name}" for name in _NAMES]
    return [place for place in dict.fromkeys(places) if place != _expected(folder)]


def _count_shared(items: Sequence[Item], counter: FindingCounter) -> None:
    seen: set[Path] = set()
    for item in items:
        if item.label is not None and item.label in seen:
            counter.add("file-same-label", str(item.image))
        elif item.label is not None:
            seen.add(item.label)


def _count_caches(folders: set[Path], counter: FindingCounter) -> None:
    """Count what Ultralytics would load instead of the labels: ``labels/train.cache`` next to ``labels/train``."""
    for folder in sorted(folders):
        if folder.name and os.path.lexists(cache := folder.with_suffix(".cache")):
            counter.add("file-foreign-cache", str(cache))
