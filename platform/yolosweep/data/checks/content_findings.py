"""Findings about the content of images and label files."""

from __future__ import annotations

from yolosweep.data.checks.image_findings import image_findings
from yolosweep.data.checks.label_findings import label_findings
from yolosweep.data.model.items import Images, Labels, Layout
from yolosweep.records import Finding

__all__ = ["content_findings"]


def content_findings(layout: Layout, image_facts: Images, labels: Labels) -> list[Finding]:
    """Return the findings about images and label files, one per code and split."""
    found = image_findings(layout, image_facts)
    return found if layout.task == "classify" else found + label_findings(layout, labels)
