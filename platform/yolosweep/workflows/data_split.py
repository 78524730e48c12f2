"""A new split of a data set into train, val and test, written as lists."""

from __future__ import annotations

from pathlib import Path

from yolosweep.data.layout.layout import read_layout
from yolosweep.data.layout.unsplit_folder import folder_layout
from yolosweep.data.model.items import Layout
from yolosweep.data.prepare.split_writer import SplitResult, split_dataset
from yolosweep.data.scan.scan import scan
from yolosweep.data.source.locate import local_path
from yolosweep.errors import UsageError
from yolosweep.records import DataSplit
from yolosweep.workflows.listener import Listener

__all__ = ["pooled_layout", "split_data"]


def pooled_layout(source: str, task: str) -> Layout:
    """Read a data set, or a folder of images without a data.yaml and without splits.

    Raises:
        DataError: it cannot be read as either.
    """
    path = local_path(source).absolute()
    described = path.is_file() or any(path.glob("*.yaml")) or any((path / split).is_dir() for split in ("train", "val"))
    return read_layout(path, task, required=("train",)) if described else folder_layout(path, task)


def split_data(
    source: str, listener: Listener, out: Path, task: str, *, val: float, test: float, seed: int, by: str | None
) -> DataSplit:
    """Write a new split of a data set as lists.

    Raises:
        DataError: the data cannot be read, or no useful split exists.
        UsageError: the folder is not empty or cannot be written, or the shares or ``by`` are invalid.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UsageError(f"--val {val:g} --test {test:g}: each share must be 0 or more, and their sum below 1")
    layout = pooled_layout(source, task)
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
        notes=result.notes,
    )
