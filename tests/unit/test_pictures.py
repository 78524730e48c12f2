"""Image files as found in the wild, each one row."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolosweep.data.codes import CODES
from yolosweep.data.pictures import read_picture


def noise(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def jpeg(image: Image.Image | None = None, **more: object) -> bytes:
    out = io.BytesIO()
    (image or noise()).save(out, "JPEG", **more)
    return out.getvalue()


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def saved(image: Image.Image, form: str, **more: object) -> Callable[[Path], object]:
    return lambda path: image.save(path, form, **more)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise().save(path, "JPEG", exif=exif)


def bomb(path: Path) -> None:
    """Write a PNG that claims 30,000 x 30,000 pixels in some bytes."""
    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 90001)), (b"IEND", b""))
    told = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(told))


CASES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "jpeg": ("a.jpg", written(jpeg()), ""),
    "png": ("a.png", saved(noise(), "PNG"), ""),
    "grey": ("a.png", saved(noise(mode="L"), "PNG"), ""),
    "webp": ("a.webp", saved(noise(), "WEBP"), ""),
    "bmp": ("a.bmp", saved(noise(), "BMP"), ""),
    "tiff": ("a.tif", saved(noise(), "TIFF"), ""),
    "upper case suffix": ("A.JPG", written(jpeg()), ""),
    "odd name": ("ä \"b'\u202e.jpg", written(jpeg()), ""),
    "flat": ("a.png", saved(Image.new("RGB", (32, 32)), "PNG"), ""),
    "turned": ("a.jpg", turned, ""),
    "no bytes": ("a.jpg", written(b""), "image-empty"),
    "garbage": ("a.jpg", written(b"no image at all"), "image-unreadable"),
    "html": ("a.jpg", written(b"<!doctype html><title>404</title>"), "image-unreadable"),
    "half a jpeg": ("a.jpg", written(jpeg()[: len(jpeg()) // 2]), "image-unreadable"),
    "half a png": ("a.png", written(b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "image-unreadable"),
    "a jpeg without its end": ("a.jpg", written(jpeg()[:-2] + b"\0\0"), "image-cut-off"),
    "bytes behind a jpeg": ("a.jpg", written(jpeg() + b"\0"), "image-cut-off"),
    "png called jpg": ("a.jpg", saved(noise(), "PNG"), "image-suffix"),
    "gif called png": ("a.png", saved(noise(mode="P"), "GIF"), "image-format"),
    "cmyk": ("a.jpg", written(jpeg(noise(mode="CMYK"))), "image-cmyk"),
    "16 bit": ("a.png", saved(Image.fromarray(np.arange(3072, dtype=np.uint16).reshape(48, 64)), "PNG"), "image-deep"),
    "float": ("a.tif", saved(noise(mode="F"), "TIFF"), "image-deep"),
    "alpha": ("a.png", saved(noise(mode="RGBA"), "PNG"), "image-alpha"),
    "9 pixels": ("a.png", saved(noise((9, 50)), "PNG"), "image-small"),
    "two frames": (
        "a.webp",
        saved(noise(), "WEBP", save_all=True, append_images=[noise((64, 48)).rotate(9)]),
        "image-frames",
    ),
    "bomb": ("a.png", bomb, "image-huge"),
    "folder": ("a.jpg", lambda path: path.mkdir(), "image-not-a-file"),
    "pipe": ("a.jpg", lambda path: os.mkfifo(path), "image-not-a-file"),
    "link to nothing": ("a.jpg", lambda path: path.symlink_to("gone"), "image-unreadable"),
    "link to a device": ("a.jpg", lambda path: path.symlink_to("/dev/zero"), "image-not-a-file"),
    "postscript": ("a.jpg", written(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n"), "image-unreadable"),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("name", "write", "fault"), CASES.values(), ids=CASES.keys())
def test_an_image_is_known_or_its_fault_is_named(
    tmp_path: Path, name: str, write: Callable[[Path], object], fault: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert picture.fault == fault
    assert not fault or (fault in CODES and picture.detail)
    assert str(tmp_path) not in picture.detail
    if not fault:
        assert (picture.width, picture.height) in ((64, 48), (32, 32))
        assert len(picture.sha256) == 64
        assert picture.look


def test_an_orientation_is_told(tmp_path: Path) -> None:
    turned(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg").orientation == 6


@pytest.mark.slow
@pytest.mark.parametrize(("name", "write", "fault"), CASES.values(), ids=CASES.keys())
def test_what_ultralytics_drops_is_an_error(
    tmp_path: Path, name: str, write: Callable[[Path], object], fault: str
) -> None:
    from yolosweep.training.environment import enter

    if fault in ("image-not-a-file", "image-huge"):
        pytest.skip("Ultralytics would wait for it, or fill the memory")
    enter()
    from ultralytics.data.utils import verify_image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(tmp_path / name)
        dropped = verify_image(((str(tmp_path / name), 0), ""))[2] == 1
    severity = CODES[fault].severity.value if fault else ""
    assert severity == "error" or not dropped
    # It looks at headers only: what is broken behind them it takes, and trains on grey or fails later.
    assert dropped or severity != "error" or fault == "image-unreadable"
