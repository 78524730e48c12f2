"""Reads one image file: hashes it, decodes it fully, and checks how a training would handle it.

Ultralytics' behavior was verified with ``ultralytics.data.utils.check_image`` and ``ultralytics.utils.patches.imread``
of 8.4.190. It rewrites a JPEG without a final end marker *in the user's folder*; of formats other than JPEG and PNG it
checks only the header, and the training fails when a batch loads a corrupt one.
"""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from yolosweep.data.model.dataset_items import ImageFacts
from yolosweep.data.model.safe_paths import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MOST_BYTES", "MOST_PIXELS", "oddities", "read_image", "size_of"]

MOST_BYTES = 1 << 30
"""A larger image file is not read."""

MOST_PIXELS = 89_478_485
"""A larger image is not decoded; one of twice as many pixels counts as a decompression bomb (as in Pillow)."""

_LEAST_SIDE = 10
"""Pixels; Ultralytics drops smaller images."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000")
"""Formats that Pillow and Ultralytics read; JPEG includes MPO. Others are never decoded: some plugins run programs."""

_SUFFIXES = {
    "JPEG": "jpg jpeg mpo", "MPO": "jpg jpeg mpo", "PNG": "png", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif tiff dng",
    "AVIF": "avif heic heif", "JPEG2000": "jp2",
}  # fmt: skip

_SIGNS = {
    b"GIF8": "GIF", b"%PDF": "PDF", b"%!PS": "PostScript", b"P4": "PBM", b"P5": "PGM", b"P6": "PPM",
    b"8BPS": "Photoshop", b"<svg": "SVG", b"<!DO": "a web page", b"<htm": "a web page", b"<?xm": "XML",
    b"PK\3\4": "a zip archive",
    b"version https://git-lfs": "a Git LFS pointer without its file",
}  # fmt: skip
"""Leading bytes of files that are often mistaken for images."""

_DRAFT = 48
"""A JPEG is decoded to the smallest size with both sides above this, which still reads the whole file."""

_TURN, _BITS = 0x0112, 258
_MOST_PAGES = 1025
"""``channels:`` is at most 1024."""


def read_image(path: Path) -> ImageFacts:
    """Return the facts about an image file; never raises.

    ``fault`` is set if the file cannot or should not be trained on. Otherwise ``detail`` lists its oddities (see
    :func:`oddities`).
    """
    try:
        content = _content(path)
    except OSError as error:
        return ImageFacts("", fault="image-unreadable", detail=error.strerror or type(error).__name__)
    if isinstance(content, ImageFacts):
        return content
    digest = hashlib.sha256(content).hexdigest()
    if not content:
        return ImageFacts(digest, fault="image-empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decode(content, digest, path.suffix[1:].lower())
        except MemoryError:
            return ImageFacts(digest, fault="image-bomb", detail="not enough memory to decode it")
        except Exception as error:  # Pillow's plugins raise anything on hostile files
            return _undecodable(content, digest, error)


def size_of(path: Path) -> tuple[int, int] | None:
    """Return width and height of an image as it is shown (after an EXIF rotation); None if it cannot be read."""
    try:
        content = _content(path)
        if isinstance(content, ImageFacts):
            return None
        with _opened(content) as image:
            (width, height), turned = _stored_size(image), _orientation(image) >= 5
    except Exception:  # Pillow's plugins raise anything on hostile files
        return None
    return (height, width) if turned else (width, height)


def oddities(facts: ImageFacts) -> dict[str, str]:
    """Return the finding codes of a usable image, each with a detail (may be empty)."""
    if facts.fault:
        return {}
    found = dict(part.partition(":")[::2] for part in facts.detail.split())
    if facts.orientation != 1:
        found["image-rotated"] = str(facts.orientation)
    if facts.mode == "CMYK":
        found["image-cmyk"] = ""
    elif facts.mode in ("P", "PA"):
        found["image-palette"] = ""
    elif facts.mode in ("1", "L", "LA", "I", "F") or facts.mode.startswith("I;"):
        found["image-grey"] = ""
    return found


def _content(path: Path) -> bytes | ImageFacts:
    """Return a file's bytes, or the facts about one that must not be read.

    Raises:
        OSError: The file is missing or unreadable.
    """
    stream = open_regular(path)
    if stream is None:
        return ImageFacts("", fault="image-not-file")
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > MOST_BYTES:
            return ImageFacts("", fault="image-bomb", detail=f"{size:,} bytes")
        return stream.read(MOST_BYTES)


def _decode(content: bytes, digest: str, suffix: str) -> ImageFacts:
    from yolosweep.data.duplicates.thumbnails import signature_of

    with _opened(content) as image:
        width, height = _stored_size(image)
        known = ImageFacts(digest, width, height, image.mode)
        if width * height > 2 * MOST_PIXELS:
            return known._replace(fault="image-bomb", detail=f"{width} x {height} pixels")
        if min(width, height) < _LEAST_SIDE:
            return known._replace(fault="image-small", detail=f"{width} x {height} pixels")
        if image.format == "TIFF" and image.mode in ("I", "F"):
            return known._replace(fault="image-depth", detail=f"TIFF, mode {image.mode}")
        known = known._replace(orientation=_orientation(image), channels=_channels(image))
        odd = _odd_file(image, content, suffix)
        if width * height > MOST_PIXELS:
            return known._replace(detail=" ".join([*odd, f"image-huge:{width}x{height}"]))
        if image.format == "JPEG":
            image.draft("L", (_DRAFT, _DRAFT))
        if image.format == "PNG":
            _opened(content).verify()  # checksums, which loading skips
        image.load()
        if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema()[0] != 255:
            odd.append("image-alpha")
        known = known._replace(signature=signature_of(image), detail=" ".join(odd))
    if image.format == "JPEG" and not content.endswith(b"\xff\xd9"):
        message = "bytes after its end" if b"\xff\xd9" in content[-4096:] else "no end marker"
        return known._replace(fault="image-rewritten", detail=message)
    return known


def _odd_file(image: Image, content: bytes, suffix: str) -> list[str]:
    """Return the oddities of the file itself, as words of :attr:`ImageFacts.detail`."""
    odd = []
    if suffix not in _SUFFIXES[image.format or ""].split():
        odd.append(f"image-extension:{image.format}")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        odd.append("image-frames")
    # Pillow silently reduces 16-bit color to 8 bits; only the header of a PNG and the tags of a TIFF show it.
    deep = (image.format == "PNG" and content[24:25] == b"\x10") or 16 in getattr(image, "tag_v2", {}).get(_BITS, ())
    if image.mode.startswith("I;16") or deep:
        odd.append("image-16bit")
    return odd


def _channels(image: Image) -> int:
    """Return the channels of an image as ``imread`` of 8.4.190 reads it with ``cv2.IMREAD_UNCHANGED``."""
    mode, kind, see_through = image.mode, image.format, "transparency" in image.info
    if kind == "AVIF":
        return 3
    if kind == "TIFF" and len(image.getbands()) == 1 and mode != "P":
        return _pages(image)
    if mode == "P":
        return 4 if see_through else 3
    if mode == "LA":
        return 1 if kind == "TIFF" else 4
    if mode == "CMYK":
        return 4 if kind == "TIFF" else 3
    return 4 if see_through and mode == "RGB" else len(image.getbands())


def _pages(image: Image) -> int:
    """Return the pages of a grayscale TIFF, which are its channels if all have the size of the first."""
    sizes = []
    for page in range(min(getattr(image, "n_frames", 1), _MOST_PAGES)):
        image.seek(page)
        sizes.append((image.size, image.mode))
    image.seek(0)
    return len(sizes) if len(set(sizes)) == 1 else 1


def _opened(content: bytes) -> Image:
    """Return an image after reading its header.

    ``Image.open`` is avoided: once imported, Ultralytics patches it to install packages for unknown formats.

    Raises:
        UnidentifiedImageError: The format is unknown; plugins raise other errors for corrupt files.
    """
    from PIL import Image, UnidentifiedImageError

    if not Image.OPEN.keys() >= set(_FORMATS):
        Image.init()
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is not None and (accept is None or accept(content[:16]) is True):
            try:
                return factory(BytesIO(content), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    raise UnidentifiedImageError


def _stored_size(image: Image) -> tuple[int, int]:
    """Return width and height before any rotation; newer Pillow releases swap those of rotated TIFFs."""
    tags = getattr(image, "tag_v2", {})
    return (tags[256], tags[257]) if image.format == "TIFF" else image.size


def _orientation(image: Image) -> int:
    """Return the EXIF orientation; 1 if the tag is missing, corrupt or out of range."""
    try:
        turn = image.getexif().get(_TURN, 1)
    except Exception:  # corrupt EXIF raises anything; the image then counts as upright
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _undecodable(content: bytes, digest: str, error: Exception) -> ImageFacts:
    """Return the fault of a file that could not be decoded."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        return ImageFacts(digest, fault="image-bomb", detail=str(error)[:120])
    if not isinstance(error, UnidentifiedImageError):
        return ImageFacts(digest, fault="image-truncated", detail=str(error)[:120])
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return ImageFacts(digest, fault="image-format", detail="HEIC")
    kind = next((name for sign, name in _SIGNS.items() if content.startswith(sign)), "")
    return ImageFacts(
        digest, fault="image-format" if kind else "image-unreadable", detail=kind or "no known image format"
    )
