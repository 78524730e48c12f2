"""The result of the data checks of a data set."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from yolosweep.records.values import Record

__all__ = ["Finding", "PreparedDataset", "Severity"]


class Severity(str, Enum):
    """What a finding in the data means for a sweep."""

    ERROR = "error"
    """Scores would be misleading, or images would be lost: no sweep starts unless the user waives the code."""
    WARNING = "warning"
    """It may lower quality or trust; shown with every score."""
    NOTE = "note"
    """Resolved, or harmless."""


class Finding(Record):
    """One result of the data checks."""

    code: str
    """Stable code of the kind of finding, e.g. ``label-class-range``; the value of ``--allow``."""
    severity: Severity
    message: str
    """What was found and why it matters, with numbers; one sentence."""
    fix: str
    """How to fix it, one sentence; empty for notes that need none."""
    file: str | None = None
    """The first file it was found in; the user can open it."""
    line: int | None = None
    """Line in that file, counted from 1."""
    split: str | None = None
    count: int = 1
    """Number of files or rows it concerns; ``file`` and ``line`` are of the first."""


class PreparedDataset(Record):
    """What the trials train from: a resolved view of the user's data set."""

    task: str
    source: str
    """What the experiment names, absolute."""
    train_on: str
    """The ``data=`` of Ultralytics: a resolved data.yaml, or for classify the folder itself."""
    names: dict[int, str]
    images: dict[str, int]
    """Number of images per split (train, val, test)."""
    instances: dict[str, dict[int, int]] = Field(default_factory=dict)
    """Labelled objects per split and class (in classify: images)."""
    fingerprint: str
    """SHA-256 over names, splits, and the content of every image and label; independent of paths and times."""
    labels_digest: str = ""
    """SHA-256 over the content of the label files alone: distinguishes changed labels from changed images."""
    notes: tuple[str, ...] = ()
    """What was resolved or looks unusual, one sentence each."""
    findings: tuple[Finding, ...] = ()
    """All findings of the data checks, errors first."""
    allowed: tuple[str, ...] = ()
    """Codes of errors that the user waived."""
    leaks: dict[str, float] = Field(default_factory=dict)
    """Share of the images of val and test that are also in another split, identical or near-duplicate (0 to 1)."""
    same_source: dict[str, float] = Field(default_factory=dict)
    """Share of further images of val and test from the same burst, video or source as one in another split."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """What to state wherever a score on these data is shown, one sentence each."""
        kinds = ((self.leaks, "also"), (self.same_source, "of a burst, video or source that is"))
        shares = [(split, share, how) for by, how in kinds for split, share in by.items() if share]
        tail = "in another split: its scores are too high"
        leaking = [f"{share:.1%} of {split} is {how} {tail}" for split, share, how in shares]
        waived = (f for f in self.findings if f.code in self.allowed and not (leaking and f.code.startswith("leak-")))
        return (*leaking, *(f"{f.code} is waived: {f.message}" for f in waived))
