"""What the images of a dataset mean for a training, put together by kind and split."""

from __future__ import annotations

from pathlib import Path

from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.items import Layout, Pictures
from yolosweep.data.scan.image_reading import oddities
from yolosweep.records import Finding

__all__ = ["picture_findings", "shown"]

_SAID = {
    "image-unreadable": "cannot be read: Ultralytics leaves them out without stopping",
    "image-empty": "have zero bytes: Ultralytics leaves them out without stopping",
    "image-truncated": "are damaged or cut off: Ultralytics leaves them out without stopping, or ends the training "
    "when a batch meets one",
    "image-rewritten": "are JPEGs that do not end with their end marker: plain Ultralytics writes them anew in your "
    "folder, with other pixels; trainings here leave them as they are, and train on what can be decoded",
    "image-format": "are of a format that is not read: Ultralytics leaves them out without stopping",
    "image-small": "are smaller than 10 pixels: Ultralytics leaves them out without stopping",
    "image-bomb": "are too large to be decoded: Ultralytics leaves them out without stopping, or runs out of memory",
    "image-not-file": "are no regular files and were not opened: a training would fail on them, or wait for ever",
    "image-depth": "have 32 bits a channel: Ultralytics takes them, and the training ends when a batch meets one",
    "image-huge": "have more than 89 million pixels and were not decoded",
    "image-16bit": "have 16 bits a channel: only the upper 8 are trained on, so 12-bit values come out nearly black",
    "image-alpha": "have transparent parts: transparency is ignored, and the colours beneath are trained on, "
    "which viewers do not show",
    "image-rotated": "carry an EXIF rotation: Ultralytics turns them upright before training, so their labels must "
    "have been drawn on the upright picture, as image viewers show it",
    "image-frames": "hold several frames: only the first is trained on",
    "image-extension": "have a name that does not fit their content: they are read by their content",
    "image-cmyk": "are CMYK: they are converted to RGB without a colour profile",
    "image-palette": "have a palette: they are converted to RGB",
    "image-grey": "are grey: they are read as three equal channels",
}


def shown(path: Path) -> str:
    """Return a path as text that can be written anywhere, whatever bytes are in it."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def picture_findings(layout: Layout, pictures: Pictures) -> list[Finding]:
    """Return one finding for each code and split that occurs, in the order of the splits."""
    found = []
    for split, items in layout.splits.items():
        by_code: dict[str, list[tuple[Path, str]]] = {}
        for item in items:
            if (picture := pictures.get(item.image)) is None:
                continue
            seen = {picture.fault: picture.detail} if picture.fault else oddities(picture)
            for code, detail in seen.items():
                by_code.setdefault(code, []).append((item.image, detail))
        for code in sorted(set(by_code) - _harmless(layout)):
            files = by_code[code]
            first, detail = files[0]
            message = f"{len(files)} of {len(items)} {split} images {_SAID[code]}"
            message += f"; the first: {detail}" if detail else ""
            found.append(finding(code, message, file=shown(first), split=split, count=len(files)))
    return found


def _harmless(layout: Layout) -> set[str]:
    """Return the codes that mean nothing for images of so many channels."""
    channels = layout.extra.get("channels", 3)
    if channels == 3:
        return set()
    return {"image-grey"} if channels == 1 else {"image-frames", "image-alpha", "image-grey"}
