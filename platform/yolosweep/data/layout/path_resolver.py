"""Resolves the paths of a data.yaml: as Ultralytics does, else to their only possible meaning here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from yolosweep.data.model.safe_paths import AllowedRoots, foreign_parts, is_image, label_of, nearest, printable
from yolosweep.storage.addresses import is_address, redacted

__all__ = ["EntryResolver", "Found", "Root", "image_folders", "pick_root"]

_WORDS = (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing"))
_ANY_SPLIT = {"images", "imgs", "img", "image", "jpegimages", "data", "dataset"}
_FOLDERS = 2000


class Root(NamedTuple):
    """The folder that split paths are relative to."""

    root: Path
    """Real path, without links."""
    message: str = ""
    """How it was found; empty if Ultralytics finds the same."""
    doubtful: bool = False
    """Whether two folders match."""


def pick_root(given: str, beside: Path, roots: Sequence[Path], wanted: Sequence[str]) -> Root:
    """Return the dataset root: ``path:`` as Ultralytics resolves it, or the folder it means on this machine.

    Args:
        given: ``path:`` of the data.yaml, or empty.
        beside: the folder of the data.yaml.
        roots: More folders to search.
        wanted: Entries of the splits; a folder that has one of them is preferred.
    """
    real = Path(os.path.realpath(beside))
    if not given.strip() or "\0" in given:
        return Root(real)
    if (bare := given.strip(" \"'")) != given and bare and not os.path.isdir(Path.cwd() / given):
        return pick_root(bare, beside, roots, wanted)._replace(
            message=f"path: {printable(given)} has a stray quote or space; {printable(bare)} is read", doubtful=False
        )
    plain = Path.cwd() / given
    bases = [beside, *roots]
    parts = foreign_parts(given)
    likely = [plain, *(base / given for base in bases)]
    if given.startswith("~/"):
        likely.append(Path.home() / given[2:])
    likely += [base.joinpath(*parts[i:]) for i in range(len(parts)) for base in [*bases, beside.parent]]
    there = [place for place in [*likely, beside] if os.path.isdir(place)]
    fitting = [place for place in there if any(_there(place, entry) for entry in wanted)]
    # Without a match, the folder as written is a better guess than a derived one.
    chosen = (fitting or [place for place in there if place == plain] or [beside])[0]
    root = Path(os.path.realpath(chosen))
    if chosen != plain:
        if os.path.isdir(plain):
            return Root(
                root,
                f"path: {printable(given)} is resolved to {printable(root)}: the images are not in {printable(plain)}",
            )
        where = "the folder of data.yaml" if root == real else printable(root)
        return Root(root, f"path: {printable(given)} does not exist here; {where} is used")
    other = beside / given
    if other in fitting and os.path.realpath(other) != str(root):
        message = (
            f"path: {printable(given)} is read as {printable(root)}, as in Ultralytics, but {printable(other)} exists"
        )
        return Root(root, message, doubtful=True)
    return Root(root)


def _there(base: Path, entry: str) -> bool:
    entry = "/".join(foreign_parts(entry)) if "\\" in entry else entry
    return os.path.exists(base / entry) or (entry.startswith("../") and os.path.exists(base / entry[3:]))


class Found(NamedTuple):
    """The resolution of a split's entry."""

    place: Path | None
    """Real path of an image folder or list; None if it does not exist or must not be read."""
    code: str = ""
    """Code of the finding that reports it; empty for none."""
    message: str = ""


class EntryResolver:
    """Resolves the entries of the splits."""

    def __init__(self, root: Path, beside: Path, roots: Sequence[Path], allowed: AllowedRoots, outside: bool) -> None:
        self.root = root
        self.bases = list(dict.fromkeys([root, Path(os.path.realpath(beside)), *map(Path.absolute, map(Path, roots))]))
        self._allowed, self._outside = allowed, outside

    def find(self, entry: str, split: str) -> Found:
        """Resolve an entry; ``message`` is the finding's text, or the fault if ``place`` is None."""
        if is_address(entry):
            message = f"{split}: {printable(redacted(entry))} is an address; nothing is downloaded"
            return Found(None, message=f"{message}: fetch the images and name their folder")
        if "\0" in entry or len(entry) > 4096:
            return Found(None, message=f"{split}: {printable(entry)} is not a path")
        plain = self.root / entry
        if os.path.exists(plain):
            return self._declared(entry, plain, split)
        for place in self._candidates(entry, split):
            real = os.path.realpath(place)
            if os.path.exists(real) and self._allowed.holds(real):
                message = f"{split}: {printable(entry)} does not exist here; {printable(real)} is used"
                return Found(Path(real), "yaml-path-resolved", message)
        return Found(None, message=self._missing(entry, split))

    def _declared(self, entry: str, plain: Path, split: str) -> Found:
        """Resolve an entry that exists as written, unless a link or ``..`` leads out of the allowed roots."""
        real = Path(os.path.realpath(plain))
        if self._allowed.holds(str(real)):
            return Found(real)
        level = self.root.parent / entry[3:] if entry.startswith("../") and ".." not in entry[3:].split("/") else None
        if os.path.isabs(entry) or (level is not None and level == real):
            self._declare(real)
            message = f"{split}: {printable(entry)} is read from {printable(real)}, outside the folder of data.yaml"
            if level is not None and os.path.exists(other := self.root / entry[3:]):
                message += f", as Ultralytics does; {printable(other)} exists too"
                return Found(real, "yaml-path-two", message)
            return Found(real, "yaml-path-declared", message)
        roots = ", ".join(map(printable, self._allowed))
        message = f"{split}: {printable(entry)} leads to {printable(real)}, outside {roots}"
        if not self._outside:
            fix = "write that path in data.yaml, or continue with --allow file-outside"
            return Found(None, message=f"{message}, through a link or ..; {fix}")
        self._declare(real)
        return Found(real, "file-outside", message)

    def _declare(self, real: Path) -> None:
        folder = real if real.is_dir() else real.parent
        self._allowed.declare(folder)
        self._allowed.declare(label_of(folder / "x.jpg").parent)

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
                # "images" alone does not identify the split: it is the parent of all splits.
                if skipped == 0 or not set(map(str.lower, rest)) <= _ANY_SPLIT:
                    yield from (base.joinpath(*rest) for base in self.bases)
        for base in self.bases:
            yield _ignoring_case(base, parts)

    def _missing(self, entry: str, split: str) -> str:
        looked = self.root / entry
        message = f"{split}: {printable(looked, 240)} does not exist"
        if not os.path.isabs(entry):
            message += f" (root {printable(self.root)})"
        message += f"; {nearest(Path(os.path.normpath(looked)))}"
        words = next((group for group in _WORDS if split in group), ())
        others = {word for group in _WORDS for word in group} - set(words)

        def match_score(place: str) -> tuple[int, float]:
            parts = set(place.lower().split("/"))
            mine = bool(parts & set(words)) - bool(parts & others)
            return mine, difflib.SequenceMatcher(None, place, entry).ratio()

        known = [place for place in image_folders(self.root) if match_score(place)[0] >= 0]
        line = printable(max(known, key=match_score)) if known else "the folder of its images"
        return f"{message}; correct path: or write {split}: {line}"


def image_folders(root: Path) -> list[str]:
    """Return the folders under ``root`` that contain images, relative to it: at most 4 levels, first 2000 folders."""
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


def _ignoring_case(base: Path, parts: Sequence[str]) -> Path:
    """Return the path under ``base`` that matches ``parts`` case-insensitively, if exactly one does."""
    place = base
    for part in parts:
        try:
            matches = sorted(name for name in os.listdir(place) if name.casefold() == part.casefold())
        except OSError:
            matches = []
        place = place / (matches[0] if len(matches) == 1 else part)
    return place
