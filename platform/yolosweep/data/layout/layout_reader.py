"""Real-world datasets: a data.yaml resolved to the images and labels on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolosweep.data.layout.class_folders import data_yaml_in, read_classes
from yolosweep.data.layout.class_names import class_names, kept_keys
from yolosweep.data.layout.image_lists import ImageCollector
from yolosweep.data.layout.label_paths import locate_labels
from yolosweep.data.layout.path_resolver import EntryResolver, Found, pick_root
from yolosweep.data.layout.safe_yaml import Document, read_yaml
from yolosweep.data.model.dataset_items import Layout
from yolosweep.data.model.finding_codes import OUTSIDE, finding
from yolosweep.data.model.safe_paths import IMAGE_SUFFIXES, AllowedRoots, nearest, printable
from yolosweep.errors import DataError, Fault
from yolosweep.records import Finding

__all__ = ["read_layout"]

_SPLITS = ("train", "val", "test")
_OTHER_KEYS = {"val": ("validation", "valid", "dev"), "train": ("training",), "test": ("testing",)}
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz")


def read_layout(
    source: Path,
    task: str,
    *,
    roots: Sequence[Path] = (),
    outside: bool = False,
    required: Sequence[str] = ("train", "val"),
) -> Layout:
    """Return where the images and labels of a dataset are; no image or label is opened.

    Where Ultralytics (``check_det_dataset``, ``BaseDataset.get_img_files``, ``ImageFolder``) finds files, the same
    files are found. Where it finds none, safe corrections are applied, each with a finding.

    Args:
        source: A data.yaml, a folder with one, or for classify a folder with ``train/<class>/`` and ``val/<class>/``.
        task: The experiment's task.
        roots: More folders that the dataset may be in, e.g. Ultralytics' datasets folder.
        outside: Also keep files that links or lists lead to outside the roots (``--allow file-outside``);
            the finding stays.
        required: The splits that must exist.

    Raises:
        DataError: No run could start on it; the message lists all faults.
    """
    source = Path(source).absolute()
    if not os.path.exists(source):
        raise DataError(
            f"data: {printable(source)} does not exist; give the path of a data.yaml, relative to the experiment file"
        )
    if source.name.lower().endswith(_ARCHIVES) and not os.path.isdir(source):
        raise DataError(f"data: {printable(source)} is an archive; unpack it and name the data.yaml in it")
    try:
        if task == "classify":
            return read_classes(source, roots, outside=outside, required=required)
        if source.is_dir():
            source = data_yaml_in(source)
        return _Reading(source, read_yaml(source), task, tuple(roots), outside).layout(required)
    except OSError as error:
        place = printable(error.filename or source)
        raise DataError(f"data: {place} cannot be read: {error.strerror}; grant yourself read access") from error


class _Reading:
    """Reads one data.yaml and collects every fault before it raises."""

    def __init__(self, source: Path, document: Document, task: str, roots: tuple[Path, ...], outside: bool) -> None:
        self.source, self.document, self.task, self.outside = source, document, task, outside
        self.faults: list[Fault] = []
        self.findings: list[Finding] = list(document.findings)
        self.roots = roots
        self.taken: list[tuple[str, Found, str]] = []

    def layout(self, required: Sequence[str]) -> Layout:
        """Return the layout.

        Raises:
            DataError: There are faults.
        """
        names = class_names(self.document, self.source, self.faults, self.findings)
        extra = kept_keys(self.document, self.task, self.faults)
        if self.document.content.get("download"):
            self._report("yaml-download", "download: in data.yaml is never run", line=self._line("download"))
        entries = self._entries(required)
        root = self._root(entries)
        self.allowed = AllowedRoots([self.source.parent, root, *self.roots])
        self.places = EntryResolver(root, self.source.parent, self.roots, self.allowed, self.outside)
        collected = {}
        for split, (key, values) in entries.items():
            found = self._gather(split, key, values, split in required)
            if found is not None:
                collected[split] = found
        if self.faults:
            self._raise()
        images = {split: found.images for split, found in collected.items()}
        counters = {split: found.counter for split, found in collected.items()}
        items, placed = locate_labels(images, self.allowed, counters, outside=self.outside)
        for split, counter in counters.items():
            self.findings += counter.findings()
            if not items[split]:
                self.faults.append(
                    Fault(key=split, message=f"no usable image: {counter.summary()}", line=self._line(split))
                )
        if self.faults:
            self._raise()
        return Layout(
            task=self.task, source=self.source, root=root, names=names, splits=items, extra=extra,
            findings=(*self.findings, *placed),
        )  # fmt: skip

    def _line(self, *key: Any) -> int | None:
        return self.document.lines.get(key)

    def _report(self, code: str, message: str, line: int | None = None, split: str | None = None) -> None:
        self.findings.append(finding(code, message, file=str(self.source), line=line, split=split))

    def _fault(self, key: str, message: str) -> None:
        self.faults.append(Fault(key=key, message=message, line=self._line(key)))

    def _entries(self, required: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
        """Return the key and the entries of each split."""
        content = self.document.content
        entries: dict[str, tuple[str, list[str]]] = {}
        for split in _SPLITS:
            key = next((name for name in (split, *_OTHER_KEYS[split]) if content.get(name)), split)
            value = content.get(key)
            if not value:
                if split in required:
                    variants = [printable(name, 30) for name in content if str(name).strip().lower() == split]
                    message = (
                        f"; {variants[0]}: must be in lower case"
                        if variants
                        else f"; write e.g. {split}: images/{split}"
                    )
                    message += ", or create one with yolosweep split" if split == "val" and not variants else ""
                    self._fault(split, f"the key {split}: is missing{message}")
                continue
            if key != split:
                self._report("yaml-key-renamed", f"{key}: is read as {split}:", self._line(key), split)
            listed = value if isinstance(value, list) else [value]
            if not all(isinstance(entry, str) for entry in listed):
                self._fault(
                    key, f"{key}: must be a folder, a list of folders, or a .txt list, not {printable(value, 60)}"
                )
                continue
            entries[split] = (key, listed)
        return entries

    def _root(self, entries: dict[str, tuple[str, list[str]]]) -> Path:
        given = self.document.content.get("path")
        if given is not None and not isinstance(given, str):
            given = self.document.written.get(("path",), "\0")
        if "\0" in (given or ""):
            self._fault("path", "path: must be one folder; remove it if the images are next to data.yaml")
        wanted = [listed[0] for split, (_, listed) in entries.items() if split != "test"]
        picked = pick_root(given or "", self.source.parent, self.roots, wanted)
        if picked.message:
            self._report(
                "yaml-path-two" if picked.doubtful else "yaml-path-resolved", picked.message, self._line("path")
            )
        return picked.root

    def _gather(self, split: str, key: str, values: list[str], needed: bool) -> ImageCollector | None:
        """Return the images of a split, or None after recording why there are none."""
        collector = ImageCollector(split, self.allowed, outside=self.outside)
        for entry in values:
            found = self.places.find(entry, split)
            if found.place is None:
                if not needed:
                    self._report("yaml-test-missing", f"{found.message}; {split} is left out", self._line(key), split)
                    return None
                self._fault(key, found.message + self._not_downloaded())
                continue
            over = self._overlap(found, split, entry)
            if over:
                self._fault(key, f"{found.message}, which overlaps with {over}:; write the intended folders")
                continue
            if found.code:
                self._report(found.code, found.message, self._line(key), split)
            try:
                if found.place.is_dir():
                    collector.walk(found.place)
                else:
                    collector.read_list(found.place, self.places.bases)
            except DataError as error:
                self._fault(key, str(error))
        if not collector.images and not any(fault.key == key for fault in self.faults):
            there = next((nearest(found.place) for other, found, _ in self.taken if other == split and found.place), "")
            why = collector.counter.summary() or f"{there}; formats read: {', '.join(sorted(IMAGE_SUFFIXES))}"
            fix = f"put images there, or set {key}: to a folder with images"
            fix += "; yolosweep split creates one" if split == "val" else ""
            if collector.counter.count(OUTSIDE):
                fix = f"if you trust that place, use the files with --allow {OUTSIDE}"
            self._fault(
                key, f"there are no images in {printable(', '.join(values))}: {why}; {fix}{self._not_downloaded()}"
            )
        for start, base in collector.resolved.items():
            message = f"listed paths starting with {printable(start or 'nothing')!s} are found in {printable(base)}"
            self._report("yaml-path-resolved", message, split=split)
        return collector

    def _overlap(self, found: Found, split: str, entry: str) -> str:
        """Return the split that a guessed folder would share images with: guesses must never create a leak.

        Where two splits name the same folder, the leak is in data.yaml, and has a finding of its own.
        """
        self.taken.append((split, found, entry))
        mine = str(found.place) + "/"
        for other, taken, written in self.taken:
            if written == entry:
                continue
            theirs = str(taken.place) + "/"
            guessed = "yaml-path-resolved" in (found.code, taken.code)
            if other != split and guessed and (mine.startswith(theirs) or theirs.startswith(mine)):
                return other
        return ""

    def _not_downloaded(self) -> str:
        given = self.document.content.get("download")
        if not given:
            return ""
        what = "download it yourself" if str(given).startswith("http") else "it is an untrusted script: read it first"
        return f"; download: ({printable(str(given), 80)}) is never run: {what}, then put the images there"

    def _raise(self) -> None:
        count = len(self.faults)
        head = f"{printable(self.source, 400)} has {count} problem{'s' if count != 1 else ''}"
        raise DataError("\n".join([head, *(f"  {fault}" for fault in self.faults)]))
