"""Which other format a folder or a file has, and its labels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolosweep.data.foreign.coco import is_coco, read_coco
from yolosweep.data.foreign.image_index import ImageIndex, split_in
from yolosweep.data.foreign.json_per_image import is_labelme, is_supervisely, read_labelme, read_supervisely
from yolosweep.data.foreign.label_studio import is_label_studio, read_label_studio
from yolosweep.data.foreign.label_values import MALFORMED, Annotations
from yolosweep.data.foreign.text_formats import is_dota, read_dota, read_ndjson
from yolosweep.data.foreign.xml_formats import read_cvat, read_voc, xml_of
from yolosweep.data.model.safe_paths import printable, read_regular
from yolosweep.errors import DataError

__all__ = ["FORMATS", "SUFFIXES", "foreign_format", "read_foreign"]

SUFFIXES = (".json", ".xml", ".ndjson", ".jsonl")
"""Of files with labels of other formats; DOTA's end with ``.txt``."""

_JSON_BYTES = 1 << 30
"""LVIS, the largest COCO file in use, has 1 GB."""
_TEXT_BYTES = 8 << 20
_ENTRIES = 5_000_000
_WHOLE_FILES = 64
"""Annotation files that are no image's, of one folder, that are looked at."""

Reader = Callable[[Any, Path, ImageIndex, Annotations, str], None]

_JSON: dict[str, tuple[Callable[[Any], bool], Reader]] = {
    "COCO JSON": (is_coco, read_coco),
    "Label Studio JSON": (is_label_studio, read_label_studio),
    "labelme": (is_labelme, read_labelme),
    "Supervisely": (is_supervisely, read_supervisely),
}
FORMATS = (*_JSON, "Pascal VOC", "CVAT XML", "NDJSON", "DOTA")
"""Names of the formats that are read."""


@dataclass(kw_only=True)
class _Files:
    """The annotation files of a folder, by kind."""

    json: list[Path] = field(default_factory=list)
    xml: list[Path] = field(default_factory=list)
    ndjson: list[Path] = field(default_factory=list)
    dota: list[Path] = field(default_factory=list)


def foreign_format(root: Path, images: Sequence[Path]) -> str:
    """Return the name of the format that a folder's labels have; empty if none of :data:`FORMATS` is recognized.

    Args:
        root: a folder, or one annotation file.
        images: the images that the labels may belong to.
    """
    found = next(iter(_readable(root, ImageIndex(images))), None)
    return found[0] if found else ""


def read_foreign(root: Path, images: Sequence[Path]) -> Annotations | None:
    """Return the labels of a folder, or of one annotation file, for the given images; None if there are none.

    Raises:
        DataError: an annotation file is corrupt, or unsafe.
    """
    index = ImageIndex(images)
    found: Annotations | None = None
    base = root if root.is_dir() else root.parent
    for kind, file, content, read in _readable(root, index):
        if found is None:
            found = Annotations(format=kind)
        if found.format == kind:
            try:
                read(content, file, index, found, split_in(file.relative_to(base)))
            except (*MALFORMED, RecursionError) as error:
                raise DataError(f"data: {printable(file)} is not valid {kind}: {printable(error)}") from error
    if found is not None:
        _add_splits(found, root, base)
    return found


def _add_splits(found: Annotations, root: Path, base: Path) -> None:
    """Take the split of an image from Pascal VOC's lists, else from its path."""
    listed: dict[str, str] = {}
    for split in ("test", "val", "train"):
        for file in root.glob(f"**/ImageSets/Main/{split}.txt") if root.is_dir() else ():
            stems = read_regular(file, _TEXT_BYTES).decode("utf-8", errors="replace").split()
            listed.update(dict.fromkeys(stems, split))
    for image in found.images:
        if image.stem in listed:
            found.splits[image] = listed[image.stem]
        elif image not in found.splits:
            found.splits[image] = split_in(image.relative_to(base)) if image.is_relative_to(base) else ""


def _readable(root: Path, index: ImageIndex) -> Iterator[tuple[str, Path, Any, Reader]]:
    """Yield format, path, content and reader of each annotation file."""
    files = _files(root, index)
    for file in files.ndjson:
        yield "NDJSON", file, _text(file, _JSON_BYTES), _read_lines
    whole = [file for file in files.json if not _of_image(file, index)]
    for file in [*whole[:_WHOLE_FILES], *(file for file in files.json if _of_image(file, index))]:
        content = _json(file, strict=file == root)
        for kind, (recognized, read) in _JSON.items():
            if recognized(content):
                yield kind, file, content, read
                break
    for file in files.xml:
        element = xml_of(file)
        if element.tag in ("annotation", "annotations"):
            cvat = element.tag == "annotations"
            yield "CVAT XML" if cvat else "Pascal VOC", file, element, read_cvat if cvat else read_voc
    for file in files.dota:
        text = _text(file, _TEXT_BYTES)
        if is_dota(text):
            yield "DOTA", file, text, read_dota


def _read_lines(content: Any, file: Path, index: ImageIndex, into: Annotations, _: str) -> None:
    read_ndjson(content, file, index, into)


def _of_image(file: Path, index: ImageIndex) -> bool:
    """Return whether a JSON file has an image's name: ``a.json`` or ``a.jpg.json``."""
    return index.of_stem(file.stem) or index.named(file.stem)


def _files(root: Path, index: ImageIndex) -> _Files:
    """Return the annotation files of a folder; links and hidden folders are not followed."""
    found, visited = _Files(), 0
    if root.is_file():
        return _sorted_in(found, root, index)
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        visited += len(names)
        if visited > _ENTRIES:
            raise DataError(f"data: {printable(root)} contains over {_ENTRIES} files; name the annotation file itself")
        for name in sorted(names):
            if not name.startswith("."):
                _sorted_in(found, Path(place, name), index)
    return found


def _sorted_in(found: _Files, file: Path, index: ImageIndex) -> _Files:
    suffix = file.suffix.lower()
    if suffix == ".json":
        found.json.append(file)
    elif suffix == ".xml":
        found.xml.append(file)
    elif suffix in (".ndjson", ".jsonl"):
        found.ndjson.append(file)
    elif suffix == ".txt" and index.of_stem(file.stem):
        found.dota.append(file)
    return found


def _json(file: Path, *, strict: bool) -> Any:
    """Return the value in a JSON file; of one that was not named and is no JSON, None."""
    try:
        return json.loads(_text(file, _JSON_BYTES))
    except (ValueError, RecursionError, DataError) as error:
        if strict:
            raise DataError(f"data: {printable(file)} cannot be read as JSON: {printable(error)}") from error
        return None


def _text(file: Path, most: int) -> str:
    return read_regular(file, most).decode("utf-8-sig", errors="replace")
