"""Writes a split: file lists and a data.yaml, or class folders of links. No image is moved or copied."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.data.duplicates.leak_summary import same_source
from yolosweep.data.foreign.yolo_conversion import is_converted
from yolosweep.data.model.dataset_items import ImageFacts, Images, Item, Labels, Layout
from yolosweep.data.prepare.dataset_split import SHARES
from yolosweep.data.prepare.split_plan import planned, refuse_useless
from yolosweep.errors import DataError, UsageError
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["SplitResult", "split_dataset", "write_split"]


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The result of a split."""

    data: Path
    """Value for ``data:`` of an experiment: the data.yaml, or the folder of a classification set."""
    images: dict[str, int]
    classes: dict[str, dict[int, int]]
    """Images per class, by split; class -1 stands for images without objects."""
    groups: int
    """Groups of images that were kept together."""
    largest: int
    """Images of the largest group."""
    grouped: int
    """Images in groups."""
    missing: dict[str, list[int]] = field(default_factory=dict)
    """Classes without an image in a split, because too few groups have them."""
    left_out: tuple[Path, ...] = ()
    """Unreadable images."""
    shares: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    notes: tuple[str, ...] = ()
    """How the images were split, and where the result is not what was asked for, with numbers."""


def split_dataset(
    layout: Layout,
    image_facts: Images,
    labels: Labels,
    out: Path,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    by: str | None = None,
) -> SplitResult:
    """Pool all splits of a dataset, split it again, and write the split to ``out``.

    Unreadable images are left out and listed in the result. Duplicates are kept, in the same split.

    Raises:
        UsageError: ``out`` is a file or not empty, the shares are invalid, or ``by`` does not cover the images.
        DataError: No image is readable, val would be empty, a class would not be trained, or a file cannot be linked.
    """
    _refuse_full(out)
    pooled = {item.image: item for items in layout.splits.values() for item in items}
    readable = {file: image_facts[file] for file in sorted(pooled) if _usable(image_facts.get(file))}
    if not readable:
        raise DataError(f"data: {layout.source} has no readable image, so there is nothing to split")

    def classes_of(file: Path) -> set[int]:
        item = pooled[file]
        if item.label is None:
            return set() if item.category is None else {item.category}
        return {row.category for row in labels[item.label].rows} if item.label in labels else set()

    plan = planned(list(readable), same_source(readable, pooled.values(), labels), classes_of, shares, seed, by)
    split = {name: files for name, files in plan.split.items() if files}
    counts = {name: Counter(c for file in files for c in classes_of(file) or {-1}) for name, files in split.items()}
    refuse_useless(plan, counts, layout.names)
    return SplitResult(
        data=write_split(out, layout, {name: [pooled[file] for file in files] for name, files in split.items()}),
        images={name: len(files) for name, files in split.items()},
        classes={name: dict(sorted(count.items())) for name, count in counts.items()},
        groups=len(plan.groups),
        largest=max(map(len, plan.groups), default=1),
        grouped=sum(map(len, plan.groups)),
        missing=_missing(counts),
        left_out=tuple(file for file in sorted(pooled) if file not in readable),
        shares=dict(shares),
        seed=seed,
        notes=plan.notes,
    )


def _usable(facts: ImageFacts | None) -> bool:
    """Return whether an image can be trained on; a huge one has no signature, because it is not decoded."""
    return facts is not None and bool(facts.signature or (facts.width and not facts.fault))


def _missing(counts: Mapping[str, Mapping[int, int]]) -> dict[str, list[int]]:
    there = set().union(*counts.values())
    return {name: lost for name, count in counts.items() if (lost := sorted(there - set(count)))}


def write_split(out: Path, layout: Layout, split: Mapping[str, Sequence[Item]]) -> Path:
    """Write a split and return the value for ``data:`` of an experiment.

    Detect, segment, pose and obb: ``train.txt``, ``val.txt``, ``test.txt`` with absolute paths, and a data.yaml. Labels
    are found by Ultralytics' rule, relative to the listed images. Classify, which reads only folders: hard links
    ``<split>/<class>/<image>`` to the images (symbolic links if ``out`` is on another disk; those need ``--allow
    file-outside``). Every class has a folder in every split, so that all splits number the classes alike.

    Raises:
        UsageError: ``out`` is a file or not empty.
        DataError: A file name does not fit in a list, or links cannot be created.
    """
    _refuse_full(out)
    out = out.absolute()
    if layout.task == "classify":
        _link(out, layout, split)
        return out
    if any(is_converted(item) for items in split.values() for item in items):
        return _with_labels(out, layout, split)
    unlisted = [item.image for items in split.values() for item in items if len(str(item.image).splitlines()) != 1]
    if unlisted:
        raise DataError(f"data: the name of {str(unlisted[0])!r} contains a line break and cannot be listed; rename it")
    for name, items in split.items():
        write_atomic(out / f"{name}.txt", "".join(f"{item.image}\n" for item in items))
    # The data checks accept listed images below path: only, so that an untrusted list cannot reach other files.
    files = (file for items in split.values() for item in items for file in item[:2] if file is not None)
    lists = {name: str(out / f"{name}.txt") for name in split}
    content = {
        "path": os.path.commonpath({str(file.parent) for file in files}),
        **lists,
        "names": layout.names,
        **layout.extra,
    }
    # JSON is valid YAML and quotes every class name, so none is read as a boolean, a number or a tag.
    write_atomic(out / "data.yaml", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return out / "data.yaml"


def _refuse_full(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder and is not overwritten; name another folder")


def _with_labels(out: Path, layout: Layout, split: Mapping[str, Sequence[Item]]) -> Path:
    """Write folders of links to images and of converted labels; the labels have no place beside the images."""
    for name, items in split.items():
        for kind in ("images", "labels"):
            (out / kind / name).mkdir(parents=True, exist_ok=True)
        for item in items:
            link = _free(out / "images" / name / item.image.name, item)
            _link_one(item.image, link, out)
            if item.label is not None:
                write_atomic(out / "labels" / name / f"{link.stem}.txt", item.label.read_bytes())
    content = {"path": str(out), **{name: f"images/{name}" for name in split}, "names": layout.names, **layout.extra}
    write_atomic(out / "data.yaml", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return out / "data.yaml"


def _free(link: Path, item: Item) -> Path:
    """Return a name that no other image has, whatever its suffix."""
    if any(link.parent.glob(f"{glob.escape(link.stem)}.*")):
        return link.with_stem(f"{link.stem}-{hashlib.sha256(str(item.image).encode()).hexdigest()[:12]}")
    return link


def _link_one(image: Path, link: Path, out: Path) -> None:
    try:
        with contextlib.suppress(OSError):
            os.link(os.path.realpath(image), link)
            return
        link.symlink_to(image)
    except OSError as error:
        raise DataError(
            f"data: {out} does not support links ({error.strerror}); choose --out on a file system with links"
        ) from error


def _link(out: Path, layout: Layout, split: Mapping[str, Sequence[Item]]) -> None:
    for name, items in split.items():
        for folder in layout.names.values():
            (out / name / folder).mkdir(parents=True, exist_ok=True)
        for item in items:
            link = out / name / layout.names[item.category or 0] / item.image.name
            if os.path.lexists(link):
                link = link.with_stem(f"{link.stem}-{hashlib.sha256(str(item.image).encode()).hexdigest()[:12]}")
            _link_one(item.image, link, out)
