"""Image files as found in the wild, each with what is said about it, held against what Ultralytics does with it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import socket
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolosweep.data.scan.image_reading import oddities, read_image
from yolosweep.data.scan.scan_codec import decode_image, encode_image

SIZE = (64, 48)


def scene(mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return Image.fromarray(blocks).convert(mode)


def saved(kind: str, mode: str = "RGB", image: Image.Image | None = None, **more: Any) -> bytes:
    out = BytesIO()
    (image or scene(mode)).save(out, kind, **more)
    return out.getvalue()


def turned(kind: str, orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(kind, exif=exif)


def deep(kind: str, dtype: Any) -> bytes:
    return saved(kind, image=Image.fromarray(np.asarray(scene("L")).astype(dtype) * 16))


def see_through(alpha: int) -> bytes:
    image = scene("RGBA")
    image.putpixel((3, 3), (1, 2, 3, alpha))
    return saved("PNG", image=image)


def flipped_bit(content: bytes) -> bytes:
    at = content.index(b"IDAT") + 60
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims to be so large and holds nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


JPEG, PNG = saved("JPEG", quality=95), saved("PNG")
FRAMES = {"save_all": True, "append_images": [scene().rotate(180)]}

FAULTS: dict[str, tuple[str, bytes, str]] = {
    "zero bytes": ("a.jpg", b"", "image-empty"),
    "garbage": ("a.jpg", b"\x07" * 500, "image-unreadable"),
    "a web page": ("a.jpg", b"<!DOCTYPE html><html>404</html>", "image-format"),
    "a Git LFS pointer": ("a.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "image-format"),
    "GIF named JPEG": ("a.jpg", saved("GIF"), "image-format"),
    "PPM named PNG": ("a.png", saved("PPM"), "image-format"),
    "PostScript": ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(x) run\n", "image-format"),
    "HEIC": ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0" + b"\0" * 64, "image-format"),
    "half a JPEG": ("a.jpg", JPEG[: len(JPEG) // 2], "image-truncated"),
    "only the head of a JPEG": ("a.jpg", JPEG[:200], "image-truncated"),
    "half a PNG": ("a.png", PNG[: len(PNG) // 2], "image-truncated"),
    "PNG with a flipped bit": ("a.png", flipped_bit(PNG), "image-truncated"),
    "half a BMP": ("a.bmp", saved("BMP")[:6000], "image-truncated"),
    "half a WebP": ("a.webp", saved("WEBP", lossless=True)[:150], "image-truncated"),
    "half a TIFF": ("a.tif", saved("TIFF")[:6000], "image-truncated"),
    "JPEG without its end": ("a.jpg", JPEG[:-2], "image-rewritten"),
    "JPEG with bytes after its end": ("a.jpg", JPEG + b"\0\0", "image-rewritten"),
    "9 pixels high": ("a.png", saved("PNG", image=scene().resize((64, 9))), "image-small"),
    "a bomb": ("a.png", png_of(20_000, 20_000), "image-bomb"),
    "float TIFF": ("a.tif", deep("TIFF", np.float32), "image-depth"),
    "32-bit TIFF": ("a.tif", deep("TIFF", np.int32), "image-depth"),
}
"""File name, content, expected fault."""

ODD: dict[str, tuple[str, bytes, set[str]]] = {
    "JPEG": ("a.jpg", JPEG, set()),
    "upper case": ("a.JPEG", JPEG, set()),
    "PNG": ("a.png", PNG, set()),
    "WebP": ("a.webp", saved("WEBP"), set()),
    "BMP": ("a.bmp", saved("BMP"), set()),
    "TIFF": ("a.tiff", saved("TIFF"), set()),
    "AVIF": ("a.avif", saved("AVIF"), set()),
    "JPEG 2000": ("a.jp2", saved("JPEG2000"), set()),
    "odd name": ('it\'s a "Ünï" $(x) 中.png', PNG, set()),
    "progressive": ("a.jpg", saved("JPEG", progressive=True), set()),
    "10 pixels": ("a.png", saved("PNG", image=scene().resize((10, 10))), set()),
    "PNG named JPEG": ("a.jpg", PNG, {"image-extension"}),
    "CMYK": ("a.jpg", saved("JPEG", "CMYK"), {"image-cmyk"}),
    "grey": ("a.png", saved("PNG", "L"), {"image-grey"}),
    "grey JPEG": ("a.jpg", saved("JPEG", "L"), {"image-grey"}),
    "black and white": ("a.png", saved("PNG", "1"), {"image-grey"}),
    "palette": ("a.png", saved("PNG", "P"), {"image-palette"}),
    "opaque alpha": ("a.png", saved("PNG", "RGBA"), set()),
    "see-through": ("a.png", see_through(0), {"image-alpha"}),
    "16-bit PNG": ("a.png", deep("PNG", np.uint16), {"image-16bit", "image-grey"}),
    "16-bit TIFF": ("a.tif", deep("TIFF", np.uint16), {"image-16bit", "image-grey"}),
    "rotated JPEG": ("a.jpg", turned("JPEG"), {"image-rotated"}),
    "rotated PNG": ("a.png", turned("PNG"), {"image-rotated"}),
    "rotated WebP": ("a.webp", turned("WEBP"), {"image-rotated"}),
    "rotated TIFF": ("a.tif", turned("TIFF"), {"image-rotated"}),
    "mirrored": ("a.jpg", turned("JPEG", 2), {"image-rotated"}),
    "upright by EXIF": ("a.jpg", turned("JPEG", 1), set()),
    "no such orientation": ("a.jpg", turned("JPEG", 99), set()),
    "animated PNG": ("a.png", saved("PNG", **FRAMES), {"image-frames"}),
    "animated WebP": ("a.webp", saved("WEBP", **FRAMES), {"image-frames"}),
    "TIFF of two pages": ("a.tif", saved("TIFF", **FRAMES), {"image-frames"}),
    "two pictures of a phone": ("a.jpg", saved("MPO", **FRAMES), set()),
}
"""File name, content, expected oddities."""


def put(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(("name", "content", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_file_that_cannot_be_trained_on_is_told(name: str, content: bytes, fault: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, content)
    picture = read_image(path)
    assert picture.fault == fault, picture.detail
    assert picture.sha256 == hashlib.sha256(content).hexdigest()
    assert oddities(picture) == {}
    assert path.read_bytes() == content
    assert decode_image(encode_image(picture)) == picture


@pytest.mark.parametrize(("name", "content", "odd"), ODD.values(), ids=ODD.keys())
def test_what_is_odd_about_a_good_image(name: str, content: bytes, odd: set[str], tmp_path: Path) -> None:
    picture = read_image(put(tmp_path, name, content))
    assert (picture.fault, set(oddities(picture))) == ("", odd), picture.detail
    with Image.open(tmp_path / name) as image:
        assert picture.mode == image.mode
    assert (picture.width, picture.height) in (SIZE, (10, 10))
    assert decode_image(encode_image(picture)) == picture


def test_16_bit_colours_are_seen_though_pillow_reduces_them(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes(6 * 16) for _ in range(16))
    head = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = read_image(put(tmp_path, "a.png", content))
    assert set(oddities(picture)) == {"image-16bit"}


def test_an_image_above_the_limit_is_told_and_not_decoded(tmp_path: Path) -> None:
    picture = read_image(put(tmp_path, "a.png", png_of(12_000, 10_000)))
    assert (picture.fault, oddities(picture), picture.signature) == ("", {"image-huge": "12000x10000"}, "")


def special(kind: str, path: Path) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "sparse":
        with path.open("wb") as stream:
            stream.truncate(1 << 42)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("fifo", "image-not-file"),
        ("folder", "image-not-file"),
        ("device", "image-not-file"),
        ("socket", "image-not-file"),
        ("loop", "image-unreadable"),
        ("missing", "image-unreadable"),
        ("sparse", "image-bomb"),
    ],
)
def test_what_is_no_image_file_is_never_read(
    kind: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    special(kind, tmp_path / "a.jpg")
    picture = read_image(tmp_path / "a.jpg")
    assert (picture.fault, picture.sha256) == (fault, "")


@functools.cache
def plain_ultralytics() -> Any:
    """Return a copy of its module of our own: a test before this one may have entered our training environment."""
    spec = importlib.util.find_spec("ultralytics.data.utils")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def theirs(path: Path) -> tuple[str, tuple[int, int] | None]:
    """Return what Ultralytics does with an image file: ``dropped``, ``rewritten``, ``crash`` or ``trained``."""
    from ultralytics.utils.patches import imread

    check_image = plain_ultralytics().check_image

    before = path.read_bytes()
    try:
        _, (height, width) = check_image(str(path))
    except Exception:
        return "dropped", None
    if path.read_bytes() != before:
        return "rewritten", None
    pixels = imread(str(path))
    if pixels is None:
        return "crash", None
    assert pixels.shape == (height, width, 3)
    return "trained", (width, height)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics tries to install pi-heif for files that Pillow cannot identify."""
    import ultralytics.utils.checks

    monkeypatch.setattr(ultralytics.utils.checks, "AUTOINSTALL", False)


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "content", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_ultralytics_drops_rewrites_or_crashes_on_what_has_a_fault(
    name: str, content: bytes, fault: str, tmp_path: Path
) -> None:
    does, _ = theirs(put(tmp_path, name, content))
    expected = {"image-rewritten": {"rewritten"}, "image-depth": {"crash"}, "image-truncated": {"dropped", "crash"}}
    assert does in expected.get(fault, {"dropped"})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "content", "odd"), ODD.values(), ids=ODD.keys())
def test_ultralytics_trains_on_what_has_none(name: str, content: bytes, odd: set[str], tmp_path: Path) -> None:
    path = put(tmp_path, name, content)
    picture = read_image(path)
    upright = (picture.height, picture.width) if picture.orientation > 4 else (picture.width, picture.height)
    assert theirs(path) == ("trained", upright)


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_nothing_is_installed_for_an_unknown_file_though_ultralytics_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ultralytics.utils.checks

    asked: list[object] = []
    monkeypatch.setattr(ultralytics.utils.checks, "check_requirements", asked.append)
    assert read_image(put(tmp_path, "a.jpg", b"\x07" * 500)).fault == "image-unreadable"
    assert asked == []
    assert theirs(tmp_path / "a.jpg") == ("dropped", None)
    assert asked == ["pi-heif"]


mutations: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda content, at: content[:at],
    "flip": lambda content, at: content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :],
    "insert": lambda content, at: content[:at] + b"\xff\xfe\0\0" + content[at:],
}


@pytest.mark.parametrize("how", mutations)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "MPO"])
def test_no_damage_raises(kind: str, how: str, tmp_path: Path) -> None:
    content = saved(kind, **(FRAMES if kind == "MPO" else {}))
    for at in range(0, len(content), max(1, len(content) // 40)):
        broken = mutations[how](content, at)
        picture = read_image(put(tmp_path, "a.jpg", broken))
        assert picture.sha256 == hashlib.sha256(broken).hexdigest()


CHANNELS: dict[str, tuple[Callable[[], Image.Image], str, dict[str, Any], int]] = {
    "grey JPEG": (lambda: scene("L"), "JPEG", {}, 1),
    "color JPEG": (scene, "JPEG", {}, 3),
    "CMYK JPEG": (lambda: scene("CMYK"), "JPEG", {}, 3),
    "CMYK TIFF": (lambda: scene("CMYK"), "TIFF", {}, 4),
    "grey and alpha PNG": (lambda: scene("LA"), "PNG", {}, 4),
    "grey and alpha TIFF": (lambda: scene("LA"), "TIFF", {}, 1),
    "color and alpha PNG": (lambda: scene("RGBA"), "PNG", {}, 4),
    "palette PNG": (lambda: scene().quantize(8), "PNG", {}, 3),
    "palette PNG with a transparent color": (lambda: scene().quantize(8), "PNG", {"transparency": 3}, 4),
    "color PNG with a transparent color": (scene, "PNG", {"transparency": (1, 2, 3)}, 4),
    "pages": (lambda: scene("L"), "TIFF", {"save_all": True, "append_images": [scene("L")] * 6}, 7),
    "pages of other sizes": (
        lambda: scene("L"),
        "TIFF",
        {"save_all": True, "append_images": [scene("L").resize((9, 9))]},
        1,
    ),
    "color pages": (scene, "TIFF", {"save_all": True, "append_images": [scene()]}, 3),
}
"""Image, format, how it is saved, and the channels that ``imread`` of 8.4.190 gives with ``cv2.IMREAD_UNCHANGED``."""


@pytest.mark.parametrize("name", CHANNELS)
def test_the_channels_of_an_image(name: str, tmp_path: Path) -> None:
    make, kind, how, channels = CHANNELS[name]
    file = tmp_path / f"a.{kind.lower()}"
    make().save(file, format=kind, **how)
    assert read_image(file).channels == channels
