"""What the parts of the data gate hand to each other: where images and labels are, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from yolosweep.records import Finding

__all__ = ["Item", "LabelFile", "Layout", "Picture", "Problem", "Row"]


class Item(NamedTuple):
    """One image of a split, and where its labels are."""

    image: Path
    """Absolute."""
    label: Path | None = None
    """Where its labels are looked for, whether there are any or not; None in classify."""
    category: int | None = None
    """Class number in classify; None elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A dataset as its description says it lies on disk: nothing of the images or labels has been read."""

    task: str
    source: Path
    """The data.yaml, or the folder of a classification set; absolute."""
    root: Path
    """What relative paths are relative to."""
    names: dict[int, str]
    splits: dict[str, tuple[Item, ...]]
    """train, val, and test where there is one; images in sorted order."""
    extra: dict[str, Any] = field(default_factory=dict)
    """``kpt_shape``, ``flip_idx``, ``kpt_names``, ``channels`` as given."""
    findings: tuple[Finding, ...] = ()
    """What was resolved, and how."""


class Picture(NamedTuple):
    """What is known of one image file; small, so that 100,000 of them fit in memory."""

    sha256: str
    """Of the file, hex."""
    width: int = 0
    """Pixels, as stored (before an EXIF rotation)."""
    height: int = 0
    mode: str = ""
    """Pillow's mode, e.g. ``RGB``, ``CMYK``, ``I;16``."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    look: str = ""
    """Perceptual hashes and a tiny thumbnail, as text; see ``data.duplicates.signatures``. Empty if unreadable."""
    fault: str = ""
    """Code of the finding that keeps it from being used; empty if it can be read."""
    detail: str = ""
    """What the decoder said."""


class Row(NamedTuple):
    """One object of a label file."""

    line: int
    """Counted from 1."""
    category: int
    box: tuple[float, float, float, float]
    """Middle x, middle y, width, height, as shares of the image; around the polygon or the four corners where given."""
    points: tuple[float, ...] = ()
    """x, y (, visibility) of a polygon's points, the corners of an oriented box, or the keypoints; else empty."""


class Problem(NamedTuple):
    """One thing wrong in a label file."""

    code: str
    line: int | None
    detail: str
    """What stands there, shortened."""


class LabelFile(NamedTuple):
    """A label file as read."""

    sha256: str
    """Of the file, hex; empty where there is none."""
    rows: tuple[Row, ...] = ()
    """Rows that can be used, in their order."""
    problems: tuple[Problem, ...] = ()


Pictures = Mapping[Path, Picture]
Labels = Mapping[Path, LabelFile]
