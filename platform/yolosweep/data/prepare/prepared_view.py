"""The prepared view: what trials train on, written to the run folder; the user's folders are not changed."""

from __future__ import annotations

import json
from pathlib import Path

from yolosweep.data.foreign.yolo_conversion import is_converted
from yolosweep.data.model.dataset_items import Item, Layout
from yolosweep.data.model.safe_paths import label_of
from yolosweep.errors import RunFolderError
from yolosweep.ledger import RunFolder
from yolosweep.records import PreparedDataset
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["write_view"]

_MANIFEST = "manifest.json"

_READ_DIFFERENTLY = {"file-loop", "file-twice", "file-special", "file-missing", "file-hidden", "file-class-extra"}
"""Codes of files that the data checks leave out and ``ImageFolder`` does not: it follows a link cycle 40 times."""


def write_view(layout: Layout, dataset: PreparedDataset, folder: RunFolder) -> PreparedDataset:
    """Write a dataset's image lists, data.yaml and manifest; return it with the path that trials train on.

    The lists name the original files if Ultralytics finds their labels; otherwise a folder of links arranges images
    and labels as it expects.

    Raises:
        OSError: The run folder cannot be written.
    """
    place = folder.dataset
    place.mkdir(parents=True, exist_ok=True)
    target = _write_folders(layout, place) if layout.task == "classify" else _write_lists(layout, place)
    dataset = dataset.model_copy(update={"train_on": str(target)})
    write_atomic(place / _MANIFEST, dataset.model_dump_json(indent=2) + "\n")
    return dataset


def _write_lists(layout: Layout, place: Path) -> Path:
    resolved: dict[str, object] = {}
    for split, items in layout.splits.items():
        if any(_must_be_linked(item) for item in items):
            resolved[split] = f"linked/images/{split}"
            _link(items, place, split)
        else:
            resolved[split] = f"{split}.txt"
            write_atomic(place / f"{split}.txt", "".join(f"{item.image}\n" for item in items))
    resolved.update(names=layout.names, nc=len(layout.names), **layout.extra)
    # JSON is valid YAML, and quotes every class name, so none is read as a boolean, a number or a tag.
    write_atomic(place / "data.yaml", json.dumps(resolved, indent=2, ensure_ascii=False) + "\n")
    return place / "data.yaml"


def _must_be_linked(item: Item) -> bool:
    """Return whether a list cannot express the item: labels elsewhere, or a name that does not fit on a line."""
    path = str(item.image)
    return item.label != label_of(item.image) or path != path.strip() or len(path.splitlines()) != 1


def _link(items: tuple[Item, ...], place: Path, split: str) -> None:
    """Link the images and labels of a split under sequential numbers."""
    width = len(str(len(items)))
    for number, item in enumerate(items):
        (image, label, _), name = item, f"{number:0{width}d}"
        for kind, source, suffix in (("images", image, image.suffix), ("labels", label, ".txt")):
            if source is None or not source.is_file():
                continue
            link = Path("linked", kind, split, f"{name}{suffix}")
            if kind == "labels" and is_converted(item):
                write_atomic(_folder(place, link.parent) / link.name, source.read_bytes())
            else:
                _point(place, link, source)


def _write_folders(layout: Layout, place: Path) -> Path:
    """Return a classification set's folder, or one of links if a training would find other images in it."""
    if any(finding.code in _READ_DIFFERENTLY for finding in layout.findings):
        for split, items in layout.splits.items():
            for name in layout.names.values():
                _folder(place, Path("linked", split, name))
            for item in items:
                within = item.image.relative_to(layout.root).parts[1:]
                _point(place, Path("linked", split, *within), item.image)
        return place / "linked"
    if all((layout.root / split).is_dir() for split in layout.splits):
        return layout.root
    for split, items in layout.splits.items():
        _point(place, Path("linked", split), layout.root / items[0].image.relative_to(layout.root).parts[0])
    return place / "linked"


def _point(place: Path, name: Path, target: Path) -> None:
    """Create or replace a link below the view's folder."""
    link = _folder(place, name.parent) / name.name
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _folder(place: Path, name: Path) -> Path:
    """Return a real folder below the view's folder, created if missing.

    Raises:
        RunFolderError: A link has its name, which would lead out of the run folder.
    """
    folder = place
    for part in name.parts:
        folder /= part
        if folder.is_symlink():
            raise RunFolderError(f"{folder} is a link where the prepared data need a folder; remove it")
        folder.mkdir(exist_ok=True)
    return folder
