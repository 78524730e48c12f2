"""A new split of a data set into train, val and test, written as lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolosweep.cli.console import emit, print_line, print_table
from yolosweep.cli.progress_bar import progress
from yolosweep.data.layout.layout import read_layout
from yolosweep.data.layout.unsplit_folder import folder_layout
from yolosweep.data.model.items import Layout
from yolosweep.data.model.safe_paths import printable
from yolosweep.data.prepare.split_writer import split_dataset
from yolosweep.data.scan.scan import scan
from yolosweep.data.source.locate import local_path
from yolosweep.errors import UsageError

__all__ = ["pooled_layout", "write_split"]


def pooled_layout(source: str, task: str) -> Layout:
    """Read a data set, or a folder of images without a data.yaml and without splits.

    Raises:
        DataError: it cannot be read as either.
    """
    path = local_path(source).absolute()
    described = path.is_file() or any(path.glob("*.yaml")) or any((path / split).is_dir() for split in ("train", "val"))
    return read_layout(path, task, required=("train",)) if described else folder_layout(path, task)


def write_split(source: str, *, out: Path, task: str, val: float, test: float, seed: int, as_json: bool) -> None:
    """Write a new split of a data set as lists, and print a summary.

    Raises:
        DataError: the data cannot be read.
        UsageError: the folder is not empty or cannot be written, or the shares are invalid.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UsageError(f"--val {val:g} --test {test:g}: each share must be 0 or more, and their sum below 1")
    layout = pooled_layout(source, task)
    image_facts, labels = scan(layout, progress=progress("reading the data"))
    shares = {"train": 1 - val - test, "val": val, "test": test}
    try:
        result = split_dataset(
            layout, image_facts, labels, out, {name: share for name, share in shares.items() if share}, seed
        )
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}; name another folder") from error
    summary: dict[str, Any] = {
        "data": str(result.data),
        "images": result.images,
        "groups": result.groups,
        "images_in_groups": result.grouped,
        "largest_group": result.largest,
        "classes": {
            split: {layout.names.get(number, "(none)"): count for number, count in counts.items()}
            for split, counts in result.classes.items()
        },
        "missing": {split: [layout.names.get(n, "(none)") for n in lost] for split, lost in result.missing.items()},
        "left_out": [str(file) for file in result.left_out],
        "seed": result.seed,
    }
    emit(summary, as_json, _describe)


def _describe(summary: dict[str, Any]) -> None:
    images, classes = summary["images"], summary["classes"]
    names = dict.fromkeys(name for counts in classes.values() for name in counts)
    rows = [(printable(name), *(classes[split].get(name, 0) for split in images)) for name in names]
    print_table(("images with", *images), [("(all)", *images.values()), *rows])
    if summary["groups"]:
        print_line(
            f"{summary['images_in_groups']} images in {summary['groups']} groups (duplicates, bursts) were kept "
            f"together; the largest has {summary['largest_group']}"
        )
    for split, lost in summary["missing"].items():
        print_line(f"note       {split} has no image with {', '.join(map(printable, lost))}")
    if summary["left_out"]:
        print_line(f"note       {len(summary['left_out'])} images cannot be read and are excluded")
    print_line(f"data       {summary['data']}")
