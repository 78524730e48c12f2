"""A split written down: lists of files and a data.yaml, or class folders of links. No image is moved or copied."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.data.duplicates.leaks import same_source
from yolosweep.data.duplicates.near_duplicates import joined
from yolosweep.data.model.items import Item, Labels, Layout, Pictures
from yolosweep.data.prepare.split import SHARES, make_split
from yolosweep.errors import DataError, UsageError
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["SplitResult", "split_dataset", "write_split"]


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """What was split, and where it was written."""

    data: Path
    """What an experiment names as ``data:``: the data.yaml, or the folder of a classification set."""
    images: dict[str, int]
    classes: dict[str, dict[int, int]]
    """Images with each class, by split; class -1 are the images without objects."""
    groups: int
    """Groups of pictures that were kept together."""
    largest: int
    """Images of the largest group."""
    grouped: int
    """Images in groups."""
    missing: dict[str, list[int]] = field(default_factory=dict)
    """Classes that a split has no image of, because there are too few groups with them."""
    left_out: tuple[Path, ...] = ()
    """Images that cannot be read."""
    shares: dict[str, float] = field(default_factory=dict)
    seed: int = 0


def split_dataset(
    layout: Layout,
    pictures: Pictures,
    labels: Labels,
    out: Path,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> SplitResult:
    """Pool all splits of a data set, split it anew, and write the split to ``out``.

    Images that cannot be read are left out and named. Pictures that are there twice stay, in the same split.

    Raises:
        UsageError: ``out`` is a file or not empty, or the shares make no sense.
        DataError: there is no image that can be read, or a file cannot be listed or linked.
    """
    _refuse_full(out)
    pooled = {item.image: item for items in layout.splits.values() for item in items}
    readable = {file: pictures[file] for file in sorted(pooled) if file in pictures and pictures[file].look}
    if not readable:
        raise DataError(f"data: {layout.source} has no image that can be read, so there is nothing to split")
    groups = joined(same_source(readable))

    def classes_of(file: Path) -> set[int]:
        item = pooled[file]
        if item.label is None:
            return set() if item.category is None else {item.category}
        return {row.category for row in labels[item.label].rows} if item.label in labels else set()

    split = make_split(list(readable), groups, classes_of, shares, seed)
    split = {name: files for name, files in split.items() if files}
    counts = {name: Counter(c for file in files for c in classes_of(file) or {-1}) for name, files in split.items()}
    there = set().union(*counts.values())
    return SplitResult(
        data=write_split(out, layout, {name: [pooled[file] for file in files] for name, files in split.items()}),
        images={name: len(files) for name, files in split.items()},
        classes={name: dict(sorted(count.items())) for name, count in counts.items()},
        groups=len(groups),
        largest=max(map(len, groups), default=1),
        grouped=sum(map(len, groups)),
        missing={name: lost for name, count in counts.items() if (lost := sorted(there - set(count)))},
        left_out=tuple(file for file in sorted(pooled) if file not in readable),
        shares=dict(shares),
        seed=seed,
    )


def write_split(out: Path, layout: Layout, split: Mapping[str, Sequence[Item]]) -> Path:
    """Write a split and return what an experiment names as ``data:``.

    Detect, segment, pose and obb: ``train.txt``, ``val.txt``, ``test.txt`` with absolute paths, and a data.yaml. Labels
    are found by Ultralytics' rule, beside the listed images. Classify, which reads folders only: hard links
    ``<split>/<class>/<image>`` to the images (symbolic ones where ``out`` is on another disk; those need ``--allow
    file-outside``); every class has its folder in every split, so that all number them alike.

    Raises:
        UsageError: ``out`` is a file or not empty.
        DataError: a file's name cannot stand in a list, or links cannot be made here.
    """
    _refuse_full(out)
    out = out.absolute()
    if layout.task == "classify":
        _link(out, layout, split)
        return out
    unlisted = [item.image for items in split.values() for item in items if len(str(item.image).splitlines()) != 1]
    if unlisted:
        raise DataError(f"data: the name of {str(unlisted[0])!r} holds a line break and cannot be listed; rename it")
    for name, items in split.items():
        write_atomic(out / f"{name}.txt", "".join(f"{item.image}\n" for item in items))
    # The gate takes listed images below path: only, so that a foreign list cannot reach for files anywhere.
    files = (file for items in split.values() for item in items for file in item[:2] if file is not None)
    lists = {name: str(out / f"{name}.txt") for name in split}
    content = {
        "path": os.path.commonpath({str(file.parent) for file in files}),
        **lists,
        "names": layout.names,
        **layout.extra,
    }
    # JSON is YAML: no class name can be taken for a boolean, a number or a tag.
    write_atomic(out / "data.yaml", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return out / "data.yaml"


def _refuse_full(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder and nothing is overwritten; name another folder")


def _link(out: Path, layout: Layout, split: Mapping[str, Sequence[Item]]) -> None:
    for name, items in split.items():
        for folder in layout.names.values():
            (out / name / folder).mkdir(parents=True, exist_ok=True)
        for item in items:
            link = out / name / layout.names[item.category or 0] / item.image.name
            if os.path.lexists(link):
                link = link.with_stem(f"{link.stem}-{hashlib.sha256(str(item.image).encode()).hexdigest()[:12]}")
            try:
                with contextlib.suppress(OSError):
                    os.link(item.image, link)
                    continue
                link.symlink_to(item.image)
            except OSError as error:
                raise DataError(
                    f"data: {out} cannot hold links ({error.strerror}); classify reads folders, so name a folder"
                    " for --out on a disk that can"
                ) from error
