"""What the data checks found in a data set."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from yolosweep.records.record import Number, Record

__all__ = [
    "DataCheck",
    "DataConversion",
    "DataProfile",
    "DataSplit",
    "Finding",
    "PreparedDataset",
    "Severity",
    "SplitCheck",
]


class Severity(str, Enum):
    """What a finding in the data means for a sweep."""

    ERROR = "error"
    """Scores would lie, or images would be lost: nothing starts, unless the user allows the finding's code."""
    WARNING = "warning"
    """It costs quality or trust, and is shown wherever scores are shown."""
    NOTE = "note"
    """Good to know: resolved, or harmless."""


class Finding(Record):
    """One thing the data checks found."""

    code: str
    """Stable name of the kind of finding, e.g. ``label-class-range``: what ``--allow`` takes."""
    severity: Severity
    message: str
    """What is there and why it matters, with figures; one sentence."""
    fix: str
    """How to repair it, one sentence; empty for notes that need none."""
    file: str | None = None
    """The file it was seen in first; the user can open it."""
    line: int | None = None
    """Line in that file, counted from 1."""
    split: str | None = None
    count: int = 1
    """How many files or rows it is about; ``file`` and ``line`` are of the first."""


class PreparedDataset(Record):
    """What the trials train from: a resolved view of the user's dataset."""

    task: str
    source: str
    """What the experiment named, absolute."""
    train_on: str
    """What Ultralytics gets as ``data=``: a resolved data.yaml, or the folder itself for classify."""
    names: dict[int, str]
    images: dict[str, int]
    """Number of images per split (train, val, test)."""
    instances: dict[str, dict[int, int]] = Field(default_factory=dict)
    """Labelled objects per split and class (in classify: images)."""
    fingerprint: str
    """SHA-256 over names, splits, and the content of every image and label; independent of paths and times."""
    labels_digest: str = ""
    """SHA-256 over the content of the label files alone: tells other labels from other images."""
    notes: tuple[str, ...] = ()
    """What was resolved or looked odd, one sentence each."""
    findings: tuple[Finding, ...] = ()
    """All findings of the data checks, errors first."""
    allowed: tuple[str, ...] = ()
    """Codes of errors that the user waived."""
    leaks: dict[str, float] = Field(default_factory=dict)
    """Share of the images of val and test that are also in another split, as such or nearly (0 to 1)."""
    same_source: dict[str, float] = Field(default_factory=dict)
    """Share of further images of val and test that are of the same burst, video or source as one in another split."""
    same_scene: dict[str, float] = Field(default_factory=dict)
    """Share of further images of val and test whose scene is in another split at another moment (a fixed camera)."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """What has to be said wherever a score on these data is shown, one sentence each."""
        told = ((self.leaks, "also"), (self.same_source, "of a burst, video or source that is"))
        shares = [(split, share, how) for by, how in told for split, share in by.items() if share]
        tail = "in another split: its scores are too high"
        leaking = [f"{share:.1%} of {split} is {how} {tail}" for split, share, how in shares]
        scenes = (
            f"{share:.1%} of {split} shows a scene of another split at another moment: its scores hold for these scenes"
            for split, share in self.same_scene.items()
            if share
        )
        passed = (f for f in self.findings if f.code in self.allowed and not (leaking and f.code.startswith("leak-")))
        return (*leaking, *scenes, *(f"{f.code} was waived: {f.message}" for f in passed))


class DataProfile(Record):
    """What a starter experiment is chosen by; None where it is unknown."""

    train_images: int | None = None
    longer_side: int | None = None
    """Median of the images' longer sides, pixels."""
    small_box: float | None = None
    """Shorter side of a small box, as a share of its image's longer side; a tenth of the boxes are smaller."""


class SplitCheck(Record):
    """One split of a data set, as checked."""

    images: int
    objects: int
    empty: int
    """Images with an empty label file."""
    unlabelled: int
    """Images without a label file."""
    instances: dict[str, int]
    """Labelled objects per class."""
    images_with: dict[str, int]
    """Images per class."""
    leaking: Number
    same_source: Number
    same_scene: Number
    """See ``PreparedDataset.leaks``, ``same_source`` and ``same_scene``; None where nothing was compared."""


class DataCheck(Record):
    """The data checks of a data set; its fields are the keys of ``yolosweep check --json``, in order."""

    source: str
    task: str
    fingerprint: str
    names: dict[str, str]
    """Class names by number."""
    splits: dict[str, SplitCheck]
    errors: int
    warnings: int
    notes: int
    """Number of findings by severity."""
    allowed: tuple[str, ...]
    """Codes of errors that the user waived."""
    findings: tuple[Finding, ...]
    """Errors first."""
    report: str | None
    """The page that was written."""
    is_trainable: bool = Field(exclude=True)
    """Whether a sweep can start: there is no error that was not waived."""

    waived: tuple[str, ...] = Field(exclude=True)
    """Codes of findings of any severity that the user waived."""

    def failing(self, lowest: Severity = Severity.ERROR) -> tuple[Finding, ...]:
        """Return the findings of at least a severity that were not waived."""
        order = list(Severity)
        serious = order[: order.index(lowest) + 1]
        return tuple(found for found in self.findings if found.severity in serious and found.code not in self.waived)


class DataConversion(Record):
    """A converted copy of a data set; its fields are the keys of ``yolosweep convert --json``, in order."""

    data: str
    """Value for ``data:`` of an experiment."""
    images: dict[str, int]
    """Images per split."""
    changes: tuple[str, ...]
    """What was converted, one sentence each."""
    left_out: tuple[str, ...]
    """What has no place in YOLO labels, one sentence each."""


class LabelReview(Record):
    """Human labels that a detector disagrees with; the value of ``label_review`` in ``yolosweep check --json``."""

    page: str
    """The page; pre-annotations for labelling tools are beside it."""
    suspected: dict[str, int]
    """Errors that the detector is sure of, by kind."""


class DataSplit(Record):
    """A new split of a data set; its fields are the keys of ``yolosweep split --json``, in order."""

    data: str
    """Value for ``data:`` of an experiment."""
    images: dict[str, int]
    """Images per split."""
    groups: int
    """Groups of images that were kept together."""
    images_in_groups: int
    largest_group: int
    classes: dict[str, dict[str, int]]
    """Images per class, by split."""
    missing: dict[str, tuple[str, ...]]
    """Classes without an image in a split."""
    left_out: tuple[str, ...]
    """Unreadable images."""
    seed: int
    notes: tuple[str, ...]
    """How the images were split, and where the result is not what was asked for, with numbers."""
