"""Every error a user can meet, and the exit code the command line gives for it.

.. code-block:: text

    YolosweepError            1   something of ours went wrong
    ├── UsageError            2   the command line is wrong
    ├── ExperimentError       3   experiment.yaml is wrong (carries all faults at once)
    ├── DataError             4   the images or the labels are wrong
    ├── TrainingError         5   no trial gave a usable score, or one training cannot go on
    ├── ClusterError          6   Ray could not be reached, or has not what the experiment asks for
    ├── RunFolderError        7   a run folder is missing, in use, or damaged
    ├── VerificationError     8   a checkpoint is not what the ledger says it is, or an export not its checkpoint
    └── Interrupted         130   stopped by Ctrl-C (143: by SIGTERM); everything done so far is kept

A failing *trial* is not an error of the sweep: it is a record with the ending ``failed``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

__all__ = [
    "ClusterError",
    "DataError",
    "ExperimentError",
    "Fault",
    "Interrupted",
    "RunFolderError",
    "ScoreDiffersError",
    "TrainingError",
    "UsageError",
    "VerificationError",
    "YolosweepError",
]


class YolosweepError(Exception):
    """Root of the tree; its text is what the user reads, so it names the rule and the fix."""

    exit_code = 1
    partial: Mapping[str, Any] = MappingProxyType({})
    """What a command found before it failed: part of what ``--json`` prints."""


class UsageError(YolosweepError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong in an experiment file."""

    key: str
    """Dotted path in the file, e.g. ``search.parameters.lr0``; empty for the file as a whole."""
    message: str
    """The rule that is broken and the fix."""
    line: int | None = None
    """Line in the file, counted from 1, when the key stands in it."""

    def __str__(self) -> str:
        place = f" (line {self.line})" if self.line else ""
        return f"{self.key}{place}: {self.message}" if self.key else self.message


class ExperimentError(YolosweepError):
    """The experiment file is wrong; all faults are listed at once."""

    exit_code = 3

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source, self.faults = source, tuple(faults)
        self.partial = {"faults": [asdict(fault) for fault in self.faults]}
        count = len(self.faults)
        head = f"{source} has {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class DataError(YolosweepError):
    """The dataset cannot be trained on as it is."""

    exit_code = 4


class TrainingError(YolosweepError):
    """A training cannot go on, or a whole sweep ended without one usable score."""

    exit_code = 5


class ClusterError(YolosweepError):
    """Ray is out of reach or has fewer resources than one trial needs."""

    exit_code = 6


class RunFolderError(YolosweepError):
    """A run folder is missing, in use by someone else, or its ledger is damaged."""

    exit_code = 7


class VerificationError(YolosweepError):
    """A checkpoint differs from what was recorded, in its bytes or its score, or an export from its checkpoint."""

    exit_code = 8


class ScoreDiffersError(VerificationError):
    """A checkpoint validated again does not have the recorded score."""


class Interrupted(YolosweepError):
    """The user or the system asked to stop; what was done is kept."""

    def __init__(self, text: str, *, signal_number: int = 2) -> None:
        super().__init__(text)
        self.exit_code = 128 + signal_number
