"""What a user wants to keep in one split: cameras, folders, groups of a file, or what a pattern finds in the names."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from yolosweep.data.duplicates.capture_times import camera_of
from yolosweep.errors import UsageError

__all__ = ["keyed_groups"]

_MOST_BYTES = 1 << 26


def keyed_groups(files: Sequence[Path], by: str, scenes: Sequence[Sequence[Path]]) -> list[list[Path]]:
    """Return the groups of files that ``--by`` asks for.

    Args:
        files: All files.
        by: ``camera``, ``folder``, the path of a file with lines ``image,group``, or a regular expression whose first
            group (or whole match) in a file's path names the group.
        scenes: Files that show one place, for cameras that the names do not tell apart.

    Raises:
        UsageError: The file or the expression cannot be used, or does not cover all files.
    """
    keys: Mapping[Path, str | None]
    if by == "folder":
        keys = {file: str(file.parent) for file in files}
    elif by == "camera":
        keys = {file: camera_of(file) for file in files}
        if len(set(keys.values())) in (1, len(files)):
            scene = {file: f"scene {number}" for number, group in enumerate(scenes) for file in group}
            keys = {file: scene.get(file, str(file)) for file in files}
    elif Path(by).is_file():
        keys = _listed(Path(by), files)
    else:
        keys = _matched(by, files)
    without = [file for file, key in keys.items() if key is None]
    if without:
        raise UsageError(f"--by {by}: {len(without)} of {len(files)} images have no group (first: {without[0].name})")
    groups: dict[str | None, list[Path]] = {}
    for file, key in keys.items():
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _matched(by: str, files: Sequence[Path]) -> dict[Path, str | None]:
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise UsageError(
            f"--by {by}: neither time, camera or folder, nor a file, nor a regular expression ({error})"
        ) from error
    found = {file: pattern.search(str(file)) for file in files}
    return {file: None if match is None else match[1 if pattern.groups else 0] for file, match in found.items()}


def _listed(place: Path, files: Sequence[Path]) -> dict[Path, str | None]:
    """Read lines ``image,group``; an image is given by its name or any longer end of its path."""
    try:
        if place.stat().st_size > _MOST_BYTES:
            raise UsageError(f"--by {place}: larger than {_MOST_BYTES >> 20} MiB")
        rows = list(csv.reader(place.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--by {place}: cannot be read as lines of image,group ({error})") from error
    named = {row[0].strip(): row[1].strip() for row in rows if len(row) >= 2}

    def group(file: Path) -> str | None:
        ends = ("/".join(file.parts[-k:]) for k in range(1, len(file.parts)))
        return next((named[end] for end in ends if end in named), named.get(str(file)))

    return {file: group(file) for file in files}
