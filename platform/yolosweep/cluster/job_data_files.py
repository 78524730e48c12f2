"""List the files of a local data set that a job carries: images, labels and a data.yaml for them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from yolosweep.data.foreign.any_format import read_dataset
from yolosweep.data.foreign.yolo_conversion import is_converted
from yolosweep.data.source.data_location import ARCHIVES
from yolosweep.errors import DataError

__all__ = ["data_files"]

_FILES = "files"


def data_files(source: str, task: str, *, outside: bool = False) -> tuple[dict[str, Path], dict[str, str], str]:
    """Return a data set's files by their name in the job, the texts to add, and the name that ``data`` refers to.

    Images and labels keep their positions relative to each other. Only images and labels are included.

    Args:
        source: a data.yaml, a folder, or an archive on this machine.
        task: the experiment's task.
        outside: also include files outside the data set's folders that links and lists refer to.

    Raises:
        DataError: the source is not a readable data set, or its files share no parent folder.
    """
    path = Path(source)
    if path.is_file() and path.name.lower().endswith(ARCHIVES):
        return {path.name: path}, {}, path.name
    layout = read_dataset(path, task, outside=outside)
    if any(is_converted(item) for items in layout.splits.values() for item in items):
        raise DataError(f"data: the labels of {source} have another format; convert them first: yolosweep convert")
    files = [item.image for items in layout.splits.values() for item in items]
    files += [item.label for items in layout.splits.values() for item in items if item.label and item.label.is_file()]
    # The last two parts of a path order the images and are part of the fingerprint, so they must not change.
    base = Path(layout.root if task == "classify" else os.path.commonpath([file.parent.parent for file in files]))
    stray = next((file for file in files if not file.is_relative_to(base)), None)
    if stray is not None:
        raise DataError(
            f"data: {stray} is outside {base} and cannot be sent with the job; put the data on storage that every "
            "node can read, or pass --data-on-nodes if every node has them under this path"
        )
    named = {f"{_FILES}/{file.relative_to(base).as_posix()}": file for file in files}
    if task == "classify":
        return named, {}, _FILES
    texts = {
        f"{split}.txt": "".join(f"./{_FILES}/{item.image.relative_to(base).as_posix()}\n" for item in items)
        for split, items in layout.splits.items()
    }
    config: dict[str, object] = {split: f"{split}.txt" for split in layout.splits}
    config |= {"names": layout.names, "nc": len(layout.names), **layout.extra}
    # JSON is valid YAML, and its quoting keeps class names from being read as booleans, numbers or tags.
    texts["data.yaml"] = json.dumps(config, indent=2, ensure_ascii=False)
    return named, texts, "data.yaml"
