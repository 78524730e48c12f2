"""A dataset that is named by its folder: the data.yaml in it, or the class folders of a classification set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from yolosweep.data.layout.image_lists import Gathering
from yolosweep.data.layout.resolver import image_folders
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.items import Item, Layout
from yolosweep.data.model.safe_paths import Ground, shown
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["data_yaml_in", "read_classes"]

_VAL = ("val", "validation", "valid")
"""In Ultralytics' order (``check_cls_dataset``)."""


def data_yaml_in(folder: Path) -> Path:
    """Return the one data.yaml of a folder, looked for as Ultralytics does, but at most one folder further down.

    Raises:
        DataError: there is none (the message holds one to start from) or more than one.
    """
    for pattern in ("*.yaml", "*.yml", "*/*.yaml", "*/*.yml"):
        found = sorted(file for file in folder.glob(pattern) if not file.name.startswith("."))
        if len(found) > 1:
            found = [file for file in found if file.stem == folder.name] or [
                file for file in found if file.stem in ("data", "dataset")
            ]
            if len(found) != 1:
                names = ", ".join(shown(file.relative_to(folder), 60) for file in sorted(folder.glob(pattern))[:8])
                raise DataError(f"data: {shown(folder)} should hold one data.yaml, found {names}; name the file itself")
        if found:
            return found[0]
    raise DataError(_proposed(folder))


def _proposed(folder: Path) -> str:
    said = f"data: {shown(folder)} should hold one data.yaml, found none"
    places = image_folders(folder)
    chosen = {
        split: next((place for place in places if set(place.split("/")) & set(words)), None)
        for split, words in (("train", ("train", "training")), ("val", (*_VAL, "dev")), ("test", ("test",)))
    }
    classes = {place for place in places if place.startswith("train/") and place.count("/") == 1}
    labelled = [folder / "labels", folder / "train" / "labels", *(folder / place for place in classes)]
    if len(classes) > 1 and not any(next(place.glob("**/*.txt"), None) for place in labelled):
        names = ", ".join(shown(place, 40) for place in sorted(classes)[:4])
        return f"{said}; {names} look like the classes of a classification set: say task: classify (--task classify)"
    if chosen["train"] is None:
        return f"{said}, and no folder train with images in it; name the data.yaml itself"
    lines = [f"{split}: {place}" for split, place in chosen.items() if place]
    if chosen["val"] is None:
        lines.append("val: # a folder of other images; yolosweep split makes one")
    lines.append("names: [first class, second class] # in the order of the numbers in the label files")
    return "\n  ".join([f"{said}; write {shown(folder / 'data.yaml')} with", *lines])


def read_classes(source: Path, roots: Sequence[Path], *, outside: bool, required: Sequence[str]) -> Layout:
    """Return the layout of a classification set: ``train/<class>/**``, ``val`` (or ``valid``), ``test``.

    Classes are numbered in the order of the names of train's folders, as Ultralytics does.

    Raises:
        DataError: a required split is missing or holds no images, or classes do not fit.
    """
    if not source.is_dir():
        raise DataError(
            f"data: {shown(source)}: classify needs a folder with train/<class>/ and val/<class>/, not a file"
        )
    source = Path(os.path.realpath(source))
    ground = Ground([source, *roots])
    findings: list[Finding] = []
    faults: list[str] = []
    splits = _split_folders(source, required, faults, findings)
    classes: list[str] = []
    if "train" in splits:
        classes = _classes(splits["train"], findings)
        if len(classes) < 2:
            faults.append(f"{shown(splits['train'])} has {len(classes)} class folders; two are needed at least")
    if (source / ".ndjson.yaml").exists():
        findings.append(finding("yaml-ndjson", "there is a hidden .ndjson.yaml", file=str(source / ".ndjson.yaml")))
    items = {}
    for split, folder in splits.items():
        gathering = Gathering(split, ground, outside=outside, hidden=True)
        try:
            items[split] = _items(split, folder, classes, gathering, faults, findings)
        except DataError as error:
            faults.append(str(error))
    if faults:
        count = len(faults)
        head = f"data: {shown(source, 400)} has {count} problem{'s' if count != 1 else ''}"
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
                findings.append(
                    finding("yaml-key-renamed", f"the folder {name}/ is read as {split}", file=str(source / name))
                )
        elif split in required:
            told = f"{shown(source)} has no folder {split}/; classify needs train/<class>/ and val/<class>/"
            with os.scandir(source) as entries:
                there = sorted(entry.name for entry in entries if os.path.isdir(entry.path))
            if split == "val" and "test" in there:
                told += "; Ultralytics would choose by test/, and no image would be left for an honest score"
            elif there:
                told += (
                    f"; it holds {', '.join(shown(name, 40) for name in there[:8])}; yolosweep split makes the splits"
                )
            faults.append(told)
    return splits


def _classes(folder: Path, findings: list[Finding]) -> list[str]:
    names = sorted(entry.name for entry in folder.iterdir() if os.path.isdir(entry))
    for name in names:
        if _hidden(name):
            said = f"{shown(folder / name)} is a hidden folder and no class"
            findings.append(finding("file-hidden-class", said, file=shown(folder / name, 1000), split=folder.name))
    return [name for name in names if not _hidden(name)]


def _items(
    split: str, folder: Path, classes: Sequence[str], gathering: Gathering, faults: list[str], findings: list[Finding]
) -> tuple[Item, ...]:
    numbers = {name: number for number, name in enumerate(classes)}
    items: list[Item] = []
    strangers: Counter[str] = Counter()
    real, inside = gathering.ground.folder(str(folder))
    if not inside and not gathering.outside:
        faults.append(
            f"{shown(folder)} leads to {shown(real)}, outside of the folder; name the folder where it really is"
        )
        return ()
    gathering.walk(folder)
    for image in gathering.images:
        name, below, _ = os.path.relpath(image, folder).partition("/")
        if not below:
            gathering.tally.add("file-no-class", image)
        elif name in numbers:
            items.append(Item(Path(image), category=numbers[name]))
        elif not _hidden(name):
            strangers[name] += 1
    if strangers and classes:
        names = ", ".join(shown(name, 40) for name in sorted(strangers))
        faults.append(f"{shown(folder)} has class folders that train does not have: {names}")
    elif not items:
        faults.append(f"{shown(folder)} holds no images in class folders; {gathering.tally.told() or 'it is empty'}")
    if os.path.lexists(cache := folder.with_suffix(".cache")):
        gathering.tally.add("file-foreign-cache", str(cache))
    empty = sorted(set(numbers.values()) - {item.category for item in items}) if split == "train" else []
    for number in empty[:10]:
        said = f"the class {shown(classes[number], 60)} has no image in train"
        findings.append(finding("file-class-empty", said, file=shown(folder / classes[number], 1000), split=split))
    findings += gathering.tally.findings()
    return tuple(items)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
