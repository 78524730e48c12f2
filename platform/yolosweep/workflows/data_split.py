"""A new split of a data set into train, val and test, written as lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from yolosweep.data import OUTSIDE
from yolosweep.data import described as described_in
from yolosweep.data.foreign.any_format import foreign_layout, read_dataset
from yolosweep.data.layout.unsplit_folder import folder_layout, listed_names
from yolosweep.data.model.dataset_items import Layout
from yolosweep.data.prepare.split_writer import SplitResult, split_dataset
from yolosweep.data.scan.dataset_scan import scan
from yolosweep.data.source.data_location import local_path
from yolosweep.errors import DataError, UsageError
from yolosweep.records import DataSplit
from yolosweep.workflows.progress_listener import Listener

__all__ = ["pooled_layout", "split_data"]


def pooled_layout(source: str, task: str, *, outside: bool = False, names: Mapping[int, str] | None = None) -> Layout:
    """Read a data set, or a folder of images without a data.yaml and without splits.

    Args:
        source: as for :func:`yolosweep.data.checks.dataset_checks.examine`.
        task: the experiment's task.
        outside: also use files outside the folders of the data set (``--allow file-outside``).
        names: classes of a folder that names none itself.

    Raises:
        DataError: it cannot be read as either, or it leads to files outside of its folders.
    """
    path = local_path(source).absolute()
    described = path.is_file() or any(path.glob("*.yaml")) or any((path / split).is_dir() for split in ("train", "val"))
    layout = None if described or task == "classify" else foreign_layout(path, task, outside=outside)
    if described:
        layout = read_dataset(path, task, required=("train",), outside=outside)
    layout = layout or folder_layout(path, task, listed_names(path) or names, outside=outside)
    left = [described_in(one) for one in layout.findings if one.code == OUTSIDE and not outside]
    if left:
        raise DataError("\n  ".join([f"data: {layout.source} is not read completely", *left]))
    return layout


def split_data(
    source: str,
    listener: Listener,
    *,
    out: Path,
    task: str,
    val: float,
    test: float,
    seed: int,
    by: str | None = None,
    allow: Sequence[str] = (),
) -> DataSplit:
    """Write a new split of a data set as lists.

    Raises:
        DataError: the data cannot be read, or no useful split exists.
        UsageError: the folder is not empty or cannot be written, or the shares or ``by`` are invalid.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UsageError(f"--val {val:g} --test {test:g}: each share must be 0 or more, and their sum below 1")
    layout = pooled_layout(source, task, outside=OUTSIDE in allow)
    image_facts, labels = scan(layout, progress=listener.reading("reading the data"))
    shares = {name: share for name, share in {"train": 1 - val - test, "val": val, "test": test}.items() if share}
    try:
        return _record(split_dataset(layout, image_facts, labels, out, shares, seed, by), layout)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}; name another folder") from error


def _record(result: SplitResult, layout: Layout) -> DataSplit:
    names = layout.names
    return DataSplit(
        data=str(result.data),
        images=result.images,
        groups=result.groups,
        images_in_groups=result.grouped,
        largest_group=result.largest,
        classes={
            split: {names.get(number, "(none)"): count for number, count in counts.items()}
            for split, counts in result.classes.items()
        },
        missing={split: tuple(names.get(n, "(none)") for n in lost) for split, lost in result.missing.items()},
        left_out=tuple(map(str, result.left_out)),
        seed=result.seed,
        notes=(*(one.message for one in layout.findings if one.code == "yaml-names-missing"), *result.notes),
    )
