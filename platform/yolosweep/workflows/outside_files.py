"""Files of a data set that links and lists lead to, outside its folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from yolosweep.data import OUTSIDE
from yolosweep.errors import YolosweepError
from yolosweep.experiment import load_experiment
from yolosweep.storage.addresses import is_address
from yolosweep.workflows.data_check import experiment_in
from yolosweep.workflows.data_split import pooled_layout

__all__ = ["OutsideFiles", "outside_files"]


class OutsideFiles(NamedTuple):
    """What a data set leads to."""

    files: int
    first: str
    """Where the first of them is."""


def outside_files(source: str, task: str | None = None, overrides: Sequence[str] | None = None) -> OutsideFiles | None:
    """Return the files that a local data set leads to outside its folders; None without any.

    What cannot be read has none: the command that reads it says why.

    Args:
        source: a data set, or an experiment file.
        task: the task of a data set.
        overrides: of an experiment file; None if the source may be a data set.
    """
    try:
        exp = experiment_in(source) if overrides is None else load_experiment(Path(source), overrides)
        if exp is not None:
            source, task = exp.data, exp.task
        if is_address(source) or not Path(source).exists():
            return None
        layout = pooled_layout(source, task or "detect", outside=True)
    except YolosweepError:
        return None
    found = [one for one in layout.findings if one.code == OUTSIDE]
    if not found:
        return None
    return OutsideFiles(sum(one.count for one in found), os.path.realpath(found[0].file or ""))
