"""Local data as files that can travel: the images and labels a data set consists of, and a data.yaml for them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from yolosweep.data.layout.layout import read_layout
from yolosweep.data.source.locate import ARCHIVES
from yolosweep.errors import DataError

__all__ = ["data_files"]

_FILES = "files"


def data_files(source: str, task: str, *, outside: bool = False) -> tuple[dict[str, Path], dict[str, str], str]:
    """Return the files of a data set under the names they travel by, the texts to go with them, and which to name.

    Images and labels keep their places relative to each other. Nothing but images and labels is taken.

    Args:
        source: a data.yaml, a folder, or an archive on this machine.
        task: the experiment's.
        outside: also take files outside of the data set's folders, which links and lists may lead to.

    Raises:
        DataError: it cannot be read as a data set.
    """
    path = Path(source)
    if path.is_file() and path.name.lower().endswith(ARCHIVES):
        return {path.name: path}, {}, path.name
    layout = read_layout(path, task, outside=outside)
    files = [item.image for items in layout.splits.values() for item in items]
    files += [item.label for items in layout.splits.values() for item in items if item.label and item.label.is_file()]
    # Of a path the last two parts order the images, and belong to the fingerprint.
    base = Path(layout.root if task == "classify" else os.path.commonpath([file.parent.parent for file in files]))
    stray = next((file for file in files if not file.is_relative_to(base)), None)
    if stray is not None:
        raise DataError(
            f"data: {stray} lies outside of {base} and cannot travel with the job; put the data on a storage that "
            "every node sees, or say --data-on-nodes"
        )
    named = {f"{_FILES}/{file.relative_to(base).as_posix()}": file for file in files}
    if task == "classify":
        return named, {}, _FILES
    texts = {
        f"{split}.txt": "".join(f"./{_FILES}/{item.image.relative_to(base).as_posix()}\n" for item in items)
        for split, items in layout.splits.items()
    }
    described: dict[str, object] = {split: f"{split}.txt" for split in layout.splits}
    described |= {"names": layout.names, "nc": len(layout.names), **layout.extra}
    # JSON is YAML: no class name can be taken for a boolean, a number or a tag.
    texts["data.yaml"] = json.dumps(described, indent=2, ensure_ascii=False)
    return named, texts, "data.yaml"
