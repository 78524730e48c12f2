"""Reads one file; also the program that reader processes of :mod:`yolosweep.data.scan.reader_pool` run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from yolosweep.data.model.dataset_items import LabelFile, Problem
from yolosweep.data.model.safe_paths import open_regular
from yolosweep.data.scan.image_reading import read_image
from yolosweep.data.scan.label_reading import MOST_BYTES, read_labels
from yolosweep.data.scan.scan_codec import encode_image, encode_label

__all__ = ["Job", "Rules", "main", "read", "read_label_file"]


class Rules(NamedTuple):
    """What label rows are checked against."""

    task: str
    names: dict[int, str]
    kpt_shape: tuple[int, ...] | None


class Job(NamedTuple):
    """One file to read."""

    kind: str
    """``image`` or ``label``."""
    path: Path


def read(job: Job, rules: Rules) -> str:
    """Return an encoded :class:`ImageFacts` or :class:`LabelFile`; never raises."""
    if job.kind == "image":
        return encode_image(read_image(job.path))
    return encode_label(read_label_file(job.path, rules))


def read_label_file(path: Path, rules: Rules) -> LabelFile:
    """Return a label file's content; a missing file has no hash, no rows and no problems."""
    try:
        stream = open_regular(path)
        if stream is None:
            return LabelFile("", problems=(Problem("label-unreadable", None, "not a regular file"),))
        with stream:
            content = stream.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return LabelFile("")
    except OSError as error:
        return LabelFile("", problems=(Problem("label-unreadable", None, error.strerror or "cannot be read"),))
    return read_labels(content, *rules)


def main() -> None:
    """Read the rules, then lists of jobs from stdin; answer each file with one line on stdout.

    Exits at the end of stdin, so it outlives its parent process by at most one file.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # output of decoders must not be read as an answer
    task, names, kpt_shape = json.loads(sys.stdin.readline())
    rules = Rules(task, {int(number): name for number, name in names.items()}, kpt_shape)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        for kind, path in json.loads(line):
            print(read(Job(kind, Path(path)), rules), file=answers, flush=True)
