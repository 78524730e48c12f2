"""Reading one file, and the program of its own that does so for :mod:`yolosweep.data.scan.reader_pool`."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import NamedTuple

from yolosweep.data.model.items import LabelFile, Problem
from yolosweep.data.scan.image_reading import read_picture
from yolosweep.data.scan.label_reading import MOST_BYTES, read_labels
from yolosweep.data.scan.scan_codec import text_of_label, text_of_picture

__all__ = ["Job", "Rules", "main", "read", "read_label_file"]


class Rules(NamedTuple):
    """What the rows of a label file are held to."""

    task: str
    names: dict[int, str]
    kpt_shape: tuple[int, ...] | None


class Job(NamedTuple):
    """One file to read."""

    kind: str
    """``picture`` or ``label``."""
    path: Path


def read(job: Job, rules: Rules) -> str:
    """Return what is in a file, as the text of a :class:`Picture` or a :class:`LabelFile`; nothing is raised."""
    if job.kind == "picture":
        return text_of_picture(read_picture(job.path))
    return text_of_label(read_label_file(job.path, rules))


def read_label_file(path: Path, rules: Rules) -> LabelFile:
    """Return what is in a label file; one that is not there has no hash, no rows and no problems."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return LabelFile("", problems=(Problem("label-unreadable", None, "not a regular file"),))
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            content = stream.read(MOST_BYTES + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return LabelFile("")
    except OSError as error:
        return LabelFile("", problems=(Problem("label-unreadable", None, error.strerror or "cannot be read"),))
    return read_labels(content, *rules)


def main() -> None:
    """Answer lines on stdin: first the rules, then lists of jobs; one line of text for each file.

    Ends with stdin, so it never outlives the process that started it for longer than one file.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a decoder prints must not be taken for an answer
    task, names, kpt_shape = json.loads(sys.stdin.readline())
    rules = Rules(task, {int(number): name for number, name in names.items()}, kpt_shape)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        for kind, path in json.loads(line):
            print(read(Job(kind, Path(path)), rules), file=answers, flush=True)
