"""What there is to say about the content of images and label files."""

from __future__ import annotations

from yolosweep.data.checks.image_findings import picture_findings
from yolosweep.data.checks.label_findings import label_findings
from yolosweep.data.model.items import Labels, Layout, Pictures
from yolosweep.records import Finding

__all__ = ["content_findings"]


def content_findings(layout: Layout, pictures: Pictures, labels: Labels) -> list[Finding]:
    """Return the findings in images and label files: one for each code and split."""
    found = picture_findings(layout, pictures)
    return found if layout.task == "classify" else found + label_findings(layout, labels)
