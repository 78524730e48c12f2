"""Findings about the images of a dataset, by code and split."""

from __future__ import annotations

from pathlib import Path

from yolosweep.data.model.dataset_items import ImageFacts, Images, Layout
from yolosweep.data.model.finding_codes import TEXTS, finding
from yolosweep.data.scan.image_reading import oddities
from yolosweep.records import Finding

__all__ = ["image_findings"]


def image_findings(layout: Layout, image_facts: Images) -> list[Finding]:
    """Return one finding per code and split, in the order of the splits."""
    found = []
    for split, items in layout.splits.items():
        by_code: dict[str, list[tuple[Path, str]]] = {}
        for item in items:
            if (facts := image_facts.get(item.image)) is None:
                continue
            seen = {facts.fault: facts.detail} if facts.fault else {**oddities(facts), **_other_channels(layout, facts)}
            for code, detail in seen.items():
                by_code.setdefault(code, []).append((item.image, detail))
        for code in sorted(set(by_code) - _harmless(layout)):
            files = by_code[code]
            first, detail = files[0]
            message = f"{len(files)} of {len(items)} {split} images {TEXTS[code]}"
            message += f"; first: {detail}" if detail else ""
            found.append(finding(code, message, file=str(first), split=split, count=len(files)))
    return found


def _other_channels(layout: Layout, facts: ImageFacts) -> dict[str, str]:
    """Return the finding of an image that is not read with the channels of data.yaml; all are with 1 and 3."""
    wanted = layout.extra.get("channels", 3)
    if wanted in (1, 3) or facts.channels == wanted:
        return {}
    return {"image-channels": f"{facts.channels} channels, and data.yaml has channels: {wanted}"}


def _harmless(layout: Layout) -> set[str]:
    """Return the codes that are expected for the dataset's number of channels."""
    channels = layout.extra.get("channels", 3)
    if channels == 3:
        return set()
    return {"image-grey"} if channels == 1 else {"image-frames", "image-alpha", "image-grey"}
