"""What a checkpoint answered on one image, beside its labels."""

from __future__ import annotations

from yolosweep.records.record import Record

__all__ = ["Answer", "Point", "Shape"]

Point = tuple[float, float]
"""x and y as shares of the upright image."""


class Shape(Record):
    """One label or one prediction; positions are shares of the upright image."""

    name: str
    """Its class."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom; None where the class is that of the whole image."""
    outline: tuple[Point, ...] = ()
    """Corners of a mask's outline or of an oriented box, drawn instead of the box."""
    keypoints: tuple[Point, ...] = ()
    """Those that are visible."""
    confidence: float | None = None
    """None for a label."""


class Answer(Record):
    """The labels and predictions of one image, and how well each prediction covers each label."""

    image: str
    """Path of the image file."""
    width: int
    height: int
    """In pixels."""
    labels: tuple[Shape, ...] = ()
    predictions: tuple[Shape, ...] = ()
    """By falling confidence."""
    fits: tuple[tuple[float, ...], ...] = ()
    """Per label and prediction, what the metric counts: overlap (IoU) of boxes or masks, or keypoint similarity."""
    overlaps: tuple[tuple[float, ...], ...] = ()
    """Per label and prediction: overlap (IoU) of the boxes."""
