"""Where the paths in a data.yaml lead: as Ultralytics reads them, else to the one place that they can mean here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from yolosweep.data.model.safe_paths import Ground, foreign_parts, is_image, label_of, nearest, shown
from yolosweep.experiment.addresses import is_address, redacted

__all__ = ["EntryResolver", "Found", "Root", "image_folders", "pick_root"]

_WORDS = (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing"))
_ANY_SPLIT = {"images", "imgs", "img", "image", "jpegimages", "data", "dataset"}
_FOLDERS = 2000


class Root(NamedTuple):
    """The folder that the splits are relative to."""

    root: Path
    """Without links."""
    said: str = ""
    """How it was found, where that is not Ultralytics' way."""
    doubtful: bool = False
    """Whether there are two that it can be."""


def pick_root(given: str, beside: Path, roots: Sequence[Path], wanted: Sequence[str]) -> Root:
    """Return the dataset's root: ``path:`` as Ultralytics takes it, or the folder it means on this machine.

    Args:
        given: ``path:`` of the data.yaml, or empty.
        beside: the folder of the data.yaml.
        roots: more folders to look in.
        wanted: entries of the splits; a folder that has none of them is passed over for one that has.
    """
    real = Path(os.path.realpath(beside))
    if not given.strip() or "\0" in given:
        return Root(real)
    plain = Path.cwd() / given
    bases = [beside, *roots]
    parts = foreign_parts(given)
    likely = [plain, *(base / given for base in bases)]
    if given.startswith("~/"):
        likely.append(Path.home() / given[2:])
    likely += [base.joinpath(*parts[i:]) for i in range(len(parts)) for base in [*bases, beside.parent]]
    there = [place for place in [*likely, beside] if os.path.isdir(place)]
    fitting = [place for place in there if any(_there(place, entry) for entry in wanted)]
    # Without a fitting one, a folder that was written out explains more than one that was guessed.
    chosen = (fitting or [place for place in there if place == plain] or [beside])[0]
    root = Path(os.path.realpath(chosen))
    if chosen != plain:
        if os.path.isdir(plain):
            return Root(root, f"path: {shown(given)} is taken as {shown(root)}: the images are not in {shown(plain)}")
        where = "the folder of data.yaml" if root == real else shown(root)
        return Root(root, f"path: {shown(given)} does not exist here; {where} is used")
    other = beside / given
    if other in fitting and os.path.realpath(other) != str(root):
        said = f"path: {shown(given)} is {shown(root)} for Ultralytics, which is used, but {shown(other)} is there too"
        return Root(root, said, doubtful=True)
    return Root(root)


def _there(base: Path, entry: str) -> bool:
    return os.path.exists(base / entry) or (entry.startswith("../") and os.path.exists(base / entry[3:]))


class Found(NamedTuple):
    """Where an entry of a split leads."""

    place: Path | None
    """A folder or a list of images, without links; None if there is nothing, or nothing that may be read."""
    code: str = ""
    """Code of the finding that says how, if there is something to say."""
    said: str = ""


class EntryResolver:
    """Looks up the entries of the splits."""

    def __init__(self, root: Path, beside: Path, roots: Sequence[Path], ground: Ground, outside: bool) -> None:
        self.root = root
        self.bases = list(dict.fromkeys([root, Path(os.path.realpath(beside)), *map(Path.absolute, map(Path, roots))]))
        self._ground, self._outside = ground, outside

    def find(self, entry: str, split: str) -> Found:
        """Return where an entry leads; ``said`` is a finding's text, or the fault where ``place`` is None."""
        if is_address(entry):
            said = f"{split}: {shown(redacted(entry))} is an address; nothing is downloaded"
            return Found(None, said=f"{said}: fetch the images and name their folder")
        if "\0" in entry or len(entry) > 4096:
            return Found(None, said=f"{split}: {shown(entry)} is no path")
        plain = self.root / entry
        if os.path.exists(plain):
            return self._declared(entry, plain, split)
        for place in self._candidates(entry, split):
            real = os.path.realpath(place)
            if os.path.exists(real) and self._ground.holds(real):
                said = f"{split}: {shown(entry)} does not exist here; {shown(real)} is used"
                return Found(Path(real), "yaml-path-resolved", said)
        return Found(None, said=self._missing(entry, split))

    def _declared(self, entry: str, plain: Path, split: str) -> Found:
        """Return an entry that exists as it is written, unless a link or ``..`` leads out of the roots with it."""
        real = Path(os.path.realpath(plain))
        if self._ground.holds(str(real)):
            return Found(real)
        level = self.root.parent / entry[3:] if entry.startswith("../") and ".." not in entry[3:].split("/") else None
        if os.path.isabs(entry) or (level is not None and level == real):
            self._declare(real)
            said = f"{split}: {shown(entry)} is read from {shown(real)}, outside of the folder of data.yaml"
            if level is not None and os.path.exists(other := self.root / entry[3:]):
                said += f", as Ultralytics does; {shown(other)} is there too"
                return Found(real, "yaml-path-two", said)
            return Found(real, "yaml-path-declared", said)
        said = f"{split}: {shown(entry)} leads to {shown(real)}, outside of {', '.join(map(shown, self._ground))}"
        if not self._outside:
            way = "write that path plainly in data.yaml, or go on with --allow file-outside"
            return Found(None, said=f"{said}, through a link or ..; {way}")
        self._declare(real)
        return Found(real, "file-outside", said)

    def _declare(self, real: Path) -> None:
        folder = real if real.is_dir() else real.parent
        self._ground.declare(folder)
        self._ground.declare(label_of(folder / "x.jpg").parent)

    def _candidates(self, entry: str, split: str) -> Iterator[Path]:
        parts = foreign_parts(entry)
        words = next((group for group in _WORDS if split in group), ())
        others = [
            [other if part.lower() in words else part for part in parts]
            for other in words
            if set(map(str.lower, parts)) & set(words)
        ]
        if entry.startswith("../"):
            yield self.root / entry[3:]
        for written in [parts, *others]:
            for skipped in range(len(written)):
                rest = written[skipped:]
                # "images" alone says nothing of the split: it would be the folder over all of them.
                if skipped == 0 or not set(map(str.lower, rest)) <= _ANY_SPLIT:
                    yield from (base.joinpath(*rest) for base in self.bases)
        for base in self.bases:
            yield _whatever_case(base, parts)

    def _missing(self, entry: str, split: str) -> str:
        looked = self.root / entry
        said = f"{split}: {shown(looked, 240)} does not exist"
        if not os.path.isabs(entry):
            said += f" (root {shown(self.root)})"
        said += f"; {nearest(Path(os.path.normpath(looked)))}"
        words = next((group for group in _WORDS if split in group), ())
        others = {word for group in _WORDS for word in group} - set(words)

        def likeness(place: str) -> tuple[int, float]:
            parts = set(place.lower().split("/"))
            mine = bool(parts & set(words)) - bool(parts & others)
            return mine, difflib.SequenceMatcher(None, place, entry).ratio()

        known = [place for place in image_folders(self.root) if likeness(place)[0] >= 0]
        line = shown(max(known, key=likeness)) if known else "the folder of its images"
        return f"{said}; correct path: or write {split}: {line}"


def image_folders(root: Path) -> list[str]:
    """Return the folders under ``root`` that hold images, relative to it; not deeper than 4 and of the first 2000."""
    found, queue = [], [(root, 0)]
    for looked, (folder, depth) in enumerate(queue):
        if looked >= _FOLDERS:
            break
        try:
            with os.scandir(folder) as entries:
                names = [
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry, _ in zip(entries, range(_FOLDERS), strict=False)
                ]
        except OSError:
            continue
        if any(is_image(name) and not folded for name, folded in names) and folder != root:
            found.append(folder.relative_to(root).as_posix())
        if depth < 4:
            queue += [
                (folder / name, depth + 1) for name, folded in sorted(names) if folded and not name.startswith(".")
            ]
    return found


def _whatever_case(base: Path, parts: Sequence[str]) -> Path:
    """Return the path under ``base`` that differs from ``parts`` in upper and lower case alone, if there is one."""
    place = base
    for part in parts:
        try:
            alike = sorted(name for name in os.listdir(place) if name.casefold() == part.casefold())
        except OSError:
            alike = []
        place = place / (alike[0] if len(alike) == 1 else part)
    return place
