"""Where the images and labels of a dataset are, and what they contain: the values that all data code shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from yolosweep.records import Finding

__all__ = ["ImageFacts", "Item", "LabelFile", "Layout", "Problem", "Row"]


class Item(NamedTuple):
    """One image of a split, and where its labels are."""

    image: Path
    """Absolute."""
    label: Path | None = None
    """Expected path of its labels, whether or not the file exists; None in classify."""
    category: int | None = None
    """Class number in classify; None elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The files of a dataset as resolved from its description; no image or label has been read."""

    task: str
    source: Path
    """The data.yaml, or the folder of a classification set; absolute."""
    root: Path
    """Base of relative paths."""
    names: dict[int, str]
    splits: dict[str, tuple[Item, ...]]
    """train, val, and test if present; images in sorted order."""
    extra: dict[str, Any] = field(default_factory=dict)
    """``kpt_shape``, ``flip_idx``, ``kpt_names``, ``channels`` as given."""
    findings: tuple[Finding, ...] = ()
    """How paths and keys were resolved."""


class ImageFacts(NamedTuple):
    """Facts about one image file; small, so that 100,000 of them fit in memory."""

    sha256: str
    """Of the file, hex."""
    width: int = 0
    """Pixels, as stored (before an EXIF rotation)."""
    height: int = 0
    mode: str = ""
    """Pillow's mode, e.g. ``RGB``, ``CMYK``, ``I;16``."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    signature: str = ""
    """Tiny thumbnail as text, see ``data.duplicates.signatures``; empty if the image is unreadable."""
    fault: str = ""
    """Code of the finding that makes it unusable; empty if it can be read."""
    detail: str = ""
    """Message of the decoder."""
    channels: int = 0
    """Channels that Ultralytics reads where data.yaml sets ``channels:`` to other than 1 and 3."""


class Row(NamedTuple):
    """One object of a label file."""

    line: int
    """Counted from 1."""
    category: int
    box: tuple[float, float, float, float]
    """Normalized center x, center y, width, height; of polygons and corners the bounding box."""
    points: tuple[float, ...] = ()
    """x, y (, visibility) of polygon points, oriented-box corners or keypoints; else empty."""


class Problem(NamedTuple):
    """One problem in a label file."""

    code: str
    line: int | None
    detail: str
    """The offending text, shortened."""


class LabelFile(NamedTuple):
    """A label file as read."""

    sha256: str
    """Of the file, hex; empty if there is no file."""
    rows: tuple[Row, ...] = ()
    """Usable rows, in file order."""
    problems: tuple[Problem, ...] = ()


Images = Mapping[Path, ImageFacts]
Labels = Mapping[Path, LabelFile]
