"""A dataset named by its folder: the data.yaml in it, or the class folders of a classification set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from yolosweep.data.layout.image_lists import ImageCollector
from yolosweep.data.layout.path_resolver import image_folders
from yolosweep.data.model.dataset_items import Item, Layout
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import AllowedRoots, printable
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["data_yaml_in", "read_classes"]

_VAL = ("val", "validation", "valid")
"""Folder names in Ultralytics' order (``check_cls_dataset``)."""


def data_yaml_in(folder: Path) -> Path:
    """Return the one data.yaml of a folder, searched as Ultralytics does but at most three levels deeper.

    Raises:
        DataError: There is none (the message proposes one), or more than one.
    """
    for pattern in (f"{above}*.{suffix}" for above in ("", "*/", "*/*/", "*/*/*/") for suffix in ("yaml", "yml")):
        found = sorted(file for file in folder.glob(pattern) if not file.name.startswith("."))
        if len(found) > 1:
            found = [file for file in found if file.stem == folder.name] or [
                file for file in found if file.stem in ("data", "dataset")
            ]
            if len(found) != 1:
                names = ", ".join(printable(file.relative_to(folder), 60) for file in sorted(folder.glob(pattern))[:8])
                raise DataError(
                    f"data: {printable(folder)} should contain one data.yaml, found {names}; name the file itself"
                )
        if found:
            return found[0]
    raise DataError(_proposed(folder))


def _proposed(folder: Path) -> str:
    message = f"data: {printable(folder)} should contain one data.yaml, found none"
    places = image_folders(folder)
    chosen = {
        split: next((place for place in places if set(place.split("/")) & set(words)), None)
        for split, words in (("train", ("train", "training")), ("val", (*_VAL, "dev")), ("test", ("test",)))
    }
    classes = {place for place in places if place.startswith("train/") and place.count("/") == 1}
    labelled = [folder / "labels", folder / "train" / "labels", *(folder / place for place in classes)]
    if len(classes) > 1 and not any(next(place.glob("**/*.txt"), None) for place in labelled):
        names = ", ".join(printable(place, 40) for place in sorted(classes)[:4])
        return f"{message}; {names} look like the classes of a classification set: set task: classify (--task classify)"
    if chosen["train"] is None:
        return f"{message}, and no folder train with images; name the data.yaml itself"
    lines = [f"{split}: {place}" for split, place in chosen.items() if place]
    if chosen["val"] is None:
        lines.append("val: # a folder of other images; yolosweep split creates one")
    lines.append("names: [first class, second class] # in the order of the numbers in the label files")
    return "\n  ".join([f"{message}; write {printable(folder / 'data.yaml')} with", *lines])


def read_classes(source: Path, roots: Sequence[Path], *, outside: bool, required: Sequence[str]) -> Layout:
    """Return the layout of a classification set: ``train/<class>/**``, ``val`` (or ``valid``), ``test``.

    Classes are numbered by the sorted folder names of train, as in Ultralytics.

    Raises:
        DataError: A required split is missing or empty, or the classes of the splits differ.
    """
    if not source.is_dir():
        raise DataError(
            f"data: {printable(source)}: classify needs a folder with train/<class>/ and val/<class>/, not a file"
        )
    source = Path(os.path.realpath(source))
    allowed = AllowedRoots([source, *roots])
    findings: list[Finding] = []
    faults: list[str] = []
    splits = _split_folders(source, required, faults, findings)
    classes: list[str] = []
    if "train" in splits:
        classes = _classes(splits["train"], findings)
        if len(classes) < 2:
            faults.append(f"{printable(splits['train'])} has {len(classes)} class folders; at least two are needed")
    if (source / ".ndjson.yaml").exists():
        message = "the folder has a hidden .ndjson.yaml"
        findings.append(finding("yaml-ndjson", message, file=str(source / ".ndjson.yaml")))
    items = {}
    for split, folder in splits.items():
        collector = ImageCollector(split, allowed, outside=outside, hidden=True)
        try:
            items[split] = _items(split, folder, classes, collector, faults, findings)
        except DataError as error:
            faults.append(str(error))
    if faults:
        count = len(faults)
        head = f"data: {printable(source, 400)} has {count} problem{'s' if count != 1 else ''}"
        raise DataError("\n  ".join([head, *faults]))
    return Layout(
        task="classify", source=source, root=source, names=dict(enumerate(classes)),
        splits=items, findings=tuple(findings),
    )  # fmt: skip


def _split_folders(
    source: Path, required: Sequence[str], faults: list[str], findings: list[Finding]
) -> dict[str, Path]:
    splits = {}
    for split, names in (("train", ("train",)), ("val", _VAL), ("test", ("test",))):
        name = next((name for name in names if (source / name).is_dir()), None)
        if name is not None:
            splits[split] = source / name
            if name != split:
                message = f"the folder {name}/ is read as {split}"
                findings.append(finding("yaml-key-renamed", message, file=str(source / name)))
        elif split in required:
            message = f"{printable(source)} has no folder {split}/; classify needs train/<class>/ and val/<class>/"
            with os.scandir(source) as entries:
                there = sorted(entry.name for entry in entries if os.path.isdir(entry.path))
            if split == "val" and "test" in there:
                message += "; Ultralytics would validate on test/, leaving no image for an unbiased score"
            elif there:
                listed = ", ".join(printable(name, 40) for name in there[:8])
                message += f"; it contains {listed}; yolosweep split creates the splits"
            faults.append(message)
    return splits


def _classes(folder: Path, findings: list[Finding]) -> list[str]:
    names = sorted(entry.name for entry in folder.iterdir() if os.path.isdir(entry))
    for name in names:
        if _hidden(name):
            message = f"{printable(folder / name)} is a hidden folder, not a class"
            findings.append(finding("file-hidden-class", message, file=str(folder / name), split=folder.name))
    return [name for name in names if not _hidden(name)]


def _items(
    split: str,
    folder: Path,
    classes: Sequence[str],
    collector: ImageCollector,
    faults: list[str],
    findings: list[Finding],
) -> tuple[Item, ...]:
    numbers = {name: number for number, name in enumerate(classes)}
    items: list[Item] = []
    unknown: Counter[str] = Counter()
    real, inside = collector.allowed.folder(str(folder))
    if not inside and not collector.outside:
        faults.append(f"{printable(folder)} leads to {printable(real)}, outside the folder; name its real path")
        return ()
    collector.walk(folder)
    for image in collector.images:
        name, below, _ = os.path.relpath(image, folder).partition("/")
        if not below:
            collector.counter.add("file-no-class", image)
        elif name in numbers:
            items.append(Item(Path(image), category=numbers[name]))
        elif not _hidden(name):
            unknown[name] += 1
    if unknown and classes:
        names = ", ".join(printable(name, 40) for name in sorted(unknown))
        message = f"{unknown.total()} {split} images are in class folders that train lacks ({names}): they are skipped"
        findings.append(finding("file-class-extra", message, file=str(folder), split=split, count=unknown.total()))
    if not items:
        why = collector.counter.summary() or "it is empty"
        faults.append(f"{printable(folder)} contains no images in class folders; {why}")
    if os.path.lexists(cache := folder.with_suffix(".cache")):
        collector.counter.add("file-foreign-cache", str(cache))
    empty = sorted(set(numbers.values()) - {item.category for item in items}) if split == "train" else []
    for number in empty[:10]:
        message = f"the class {printable(classes[number], 60)} has no image in train"
        findings.append(finding("file-class-empty", message, file=str(folder / classes[number]), split=split))
    findings += collector.counter.findings()
    return tuple(items)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
