"""``yolosweep split``: a new train, val and test of a data set, as lists."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

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
    """Read a data set, or a folder of images that has no data.yaml and no split yet.

    Raises:
        DataError: neither can be read.
    """
    path = local_path(source).absolute()
    described = path.is_file() or any(path.glob("*.yaml")) or any((path / split).is_dir() for split in ("train", "val"))
    return read_layout(path, task, required=("train",)) if described else folder_layout(path, task)


def write_split(source: str, *, out: Path, task: str, val: float, test: float, seed: int, as_json: bool) -> None:
    """Write a new split of a data set as lists, and tell what is where.

    Raises:
        DataError: the data cannot be read.
        UsageError: the folder is not empty or cannot be written, or the shares make no sense.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UsageError(f"--val {val:g} --test {test:g}: shares are 0 or more, and leave something for train")
    layout = pooled_layout(source, task)
    image_facts, labels = scan(layout, progress=progress("reading the data"))
    shares = {"train": 1 - val - test, "val": val, "test": test}
    try:
        result = split_dataset(
            layout, image_facts, labels, out, {name: share for name, share in shares.items() if share}, seed
        )
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}; name another folder") from error
    told = {
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
    if as_json:
        import json

        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _describe(told)


def _describe(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    table = Table("images with", *told["images"], box=None, pad_edge=False)
    table.add_row("(all)", *(str(count) for count in told["images"].values()))
    for name in dict.fromkeys(name for counts in told["classes"].values() for name in counts):
        table.add_row(Text(printable(name)), *(str(told["classes"][split].get(name, 0)) for split in told["images"]))
    console.print(table)
    if told["groups"]:
        console.print(
            f"{told['images_in_groups']} images in {told['groups']} groups (duplicates, bursts) were kept together; "
            f"the largest has {told['largest_group']}"
        )
    for split, lost in told["missing"].items():
        console.print(f"note       {split} has no image with {', '.join(map(printable, lost))}", markup=False)
    if told["left_out"]:
        console.print(f"note       {len(told['left_out'])} images cannot be read and are left out", markup=False)
    console.print(f"data       {told['data']}", markup=False)
