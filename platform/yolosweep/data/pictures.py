"""Image files, each read once: hash, size, what the decoder says, and what it looks like."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import sys
import warnings
from pathlib import Path
from typing import Any

from yolosweep.data.items import Picture

__all__ = ["main", "read_picture"]

MOST_BYTES = 512 << 20
MOST_PIXELS = 179_000_000
"""Pillow's own limit, above which it suspects a decompression bomb."""
LEAST_SIDE = 10
"""Pixels; Ultralytics drops smaller images."""
_THUMB = 192
"""Pixels: a JPEG is decoded at a fraction of its size, not below this. Its whole stream is read all the same."""
_ORIENTATION = 0x0112
_READ = {
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "TIFF", "WEBP",
}  # fmt: skip
"""Pillow's decoders that only decode: others start programs or open further files."""
_TAKEN = _READ - {"GIF", "DIB"}
"""What Ultralytics takes."""
_SUFFIXES = {
    "JPEG": ("jpg", "jpeg", "mpo"), "MPO": ("mpo", "jpg", "jpeg"), "PNG": ("png",), "BMP": ("bmp",),
    "TIFF": ("tif", "tiff", "dng"), "WEBP": ("webp",), "JPEG2000": ("jp2",), "AVIF": ("avif",),
    "HEIF": ("heic", "heif"),
}  # fmt: skip
_CUT = b"\xff\xd9"
"""How a whole JPEG ends."""


def read_picture(path: Path) -> Picture:
    """Return what is known of an image file; whatever is wrong with it becomes its ``fault``.

    Only regular files are opened, and only decoders that decode and nothing else are tried.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return Picture("", fault="image-not-a-file", detail="a pipe, a device or a folder")
        if found.st_size > MOST_BYTES:
            return Picture("", fault="image-huge", detail=f"{found.st_size >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        return Picture("", fault="image-unreadable", detail=error.strerror or type(error).__name__)
    digest = hashlib.sha256(content).hexdigest()
    if not content:
        return Picture(digest, fault="image-empty", detail="0 bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF and of sizes, which are bounded here
        try:
            return _decoded(path, content, digest)
        except Exception as error:  # decoders raise almost anything on damaged files
            detail = (str(error).splitlines() or [""])[0] or type(error).__name__
            bomb = type(error).__name__ == "DecompressionBombError"  # more than twice the pixels
            return Picture(
                digest,
                fault="image-huge" if bomb else "image-unreadable",
                detail=detail[:120].replace(str(path), path.name),
            )


def _decoded(path: Path, content: bytes, digest: str) -> Picture:
    from PIL import Image

    from yolosweep.data.likeness import look_of

    Image.init()
    with Image.open(io.BytesIO(content), formats=[name for name in _READ if name in Image.OPEN]) as image:
        known: dict[str, Any] = {
            "width": image.width, "height": image.height, "mode": image.mode, "orientation": _orientation(image),
        }  # fmt: skip
        if image.width * image.height > MOST_PIXELS:
            return Picture(digest, **known, fault="image-huge", detail=f"{image.width} x {image.height} pixels")
        if min(image.size) < LEAST_SIDE:
            return Picture(digest, **known, fault="image-small", detail=f"{image.width} x {image.height} pixels")
        if image.format not in _TAKEN:
            return Picture(digest, **known, fault="image-format", detail=f"is {image.format}")
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB" if image.mode != "L" else "L", (_THUMB, _THUMB))
        image.load()
        look = look_of(image)
        fault, detail = _oddity(path, content, image, known["mode"])
        return Picture(digest, **known, look=look, fault=fault, detail=detail)


def _oddity(path: Path, content: bytes, image: Any, mode: str) -> tuple[str, str]:
    """Return the code of what is odd about an image that can be decoded, the gravest alone."""
    if image.format == "JPEG" and not content.endswith(_CUT):
        return "image-cut-off", "its end is not the end of a JPEG"
    suffix = path.suffix[1:].lower()
    if suffix not in _SUFFIXES.get(str(image.format), (suffix,)):
        return "image-suffix", f"is {image.format}"
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        return "image-frames", f"{image.n_frames} frames"
    if mode.startswith(("I", "F")):
        return "image-deep", f"mode {mode}"
    if mode == "CMYK":
        return "image-cmyk", "mode CMYK"
    if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return "image-alpha", f"mode {mode}"
    return "", ""


def _orientation(image: Any) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF; the pixels are whole
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def main() -> None:
    """Answer each path on standard input, a JSON string a line, with its picture as a JSON list on standard output."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(read_picture(Path(json.loads(line)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
