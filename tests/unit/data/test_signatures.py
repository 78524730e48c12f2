"""Looks: small, cheap, upright, and alike exactly where people would say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from tests.bench.picture_changes import CHANGES as STRONGER
from tests.bench.picture_changes import jpeg, photographs
from tests.bench.picture_changes import part as crop

from yolosweep.data.duplicates.comparison_pictures import Views
from yolosweep.data.duplicates.near_duplicates import EXACT, NEAR, find_near_duplicates
from yolosweep.data.duplicates.pair_verdicts import Verdict, Verdicts
from yolosweep.data.duplicates.thumbnail_features import correlations, features, transposed
from yolosweep.data.duplicates.thumbnails import FLAT, SIDE, decode_signatures, pixels_of, signature_of

BCCD = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "bccd" / "images"


def scene(seed: int, size: int = 160) -> Image.Image:
    """A picture with large and small shapes, different for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.uniform(60, 190, (10, 10)).astype(np.float32)).resize((size, size), 3)
    values = np.asarray(coarse)[..., None] + rng.normal(0, 6, (size, size, 1)) + rng.uniform(-20, 20, 3)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda i: i.resize((i.width // 2, i.height // 2)),
    "another shape": lambda i: i.resize((200, 120), Image.Resampling.NEAREST),
    "jpeg 20": lambda i: jpeg(i, 20),
    "brighter": lambda i: ImageEnhance.Brightness(i).enhance(1.3),
    "darker": lambda i: ImageEnhance.Brightness(i).enhance(0.6),
    "contrast": lambda i: ImageEnhance.Contrast(i).enhance(0.6),
    "grey": lambda i: i.convert("L"),
    "blurred": lambda i: i.filter(ImageFilter.GaussianBlur(1.5)),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by 180": lambda i: i.rotate(180),
    "5 % off one side": lambda i: crop(i, 0.05, 0, 0, 0),
    "10 % off one side": lambda i: crop(i, 0, 0, 0.1, 0),
    "10 % off a corner": lambda i: crop(i, 0.1, 0.1, 0, 0),
    "5 % off all round": lambda i: crop(i, 0.05, 0.05, 0.05, 0.05),
    "all at once": lambda i: jpeg(ImageOps.mirror(crop(i, 0.02, 0.04, 0.05, 0.03)).resize((120, 90)), 40),
}


def found(images: list[Image.Image], folder: Path) -> list[tuple[str, str, str]]:
    files = [folder / f"{index:02d}.png" for index in range(len(images))]
    for file, image in zip(files, images, strict=True):
        image.save(file, compress_level=0)
    looks = {file: signature_of(image) for file, image in zip(files, images, strict=True)}
    pairs = find_near_duplicates(looks, {file: file.name for file in looks}, pixels=lambda file: "")
    return [(pair.first.stem, pair.second.stem, pair.kind) for pair in pairs]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_copy_is_found_among_others(change: Callable[[Image.Image], Image.Image], tmp_path: Path) -> None:
    images = [scene(seed) for seed in range(8)]
    assert found([*images, change(images[3])], tmp_path) == [("03", "08", NEAR)]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.slow
def test_a_changed_copy_of_a_photo_is_found_among_photos_of_the_same_kind(
    change: Callable[[Image.Image], Image.Image], tmp_path: Path
) -> None:
    if not BCCD.is_dir():
        pytest.skip(f"the BCCD photos are not at {BCCD}")
    images = [Image.open(file).convert("RGB") for file in sorted(BCCD.glob("val/*.jpg"))[:12]]
    copies = [change(image) for image in images[::6]]
    assert found([*images, *copies], tmp_path) == [(f"{6 * k:02d}", f"{12 + k:02d}", NEAR) for k in range(2)]


def test_a_scene_in_which_something_moved_is_another_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    place = np.asarray(scene(0).filter(ImageFilter.GaussianBlur(2))).astype(float)
    first, second = (
        Image.fromarray(np.clip(place + rng.normal(0, 6, place.shape), 0, 255).astype(np.uint8)) for _ in range(2)
    )
    first.paste((20, 20, 20), (10, 10, 40, 40))
    second.paste((20, 20, 20), (90, 60, 120, 90))
    assert NEAR not in {kind for *_, kind in found([first, second], tmp_path)}


@pytest.mark.parametrize(
    "name", ["5 degrees", "15 degrees", "crop 20 % corner", "crop 30 % middle", "cut-out 20 %", "inverted"]
)
@pytest.mark.slow
def test_a_stronger_change_of_a_photo_is_found(name: str, tmp_path: Path) -> None:
    photos = [photo for _, photo in photographs(tmp_path)]  # those of matplotlib and ultralytics
    assert len(photos) >= 3
    pairs = found([*photos, *map(STRONGER[name], photos)], tmp_path)
    assert pairs == [(f"{at:02d}", f"{at + len(photos):02d}", NEAR) for at in range(len(photos))]


def test_different_pictures_between_the_same_bars_are_no_copies(tmp_path: Path) -> None:
    rng, files = np.random.default_rng(8), [tmp_path / "0.png", tmp_path / "1.png"]
    for file in files:
        texture = Image.fromarray(rng.uniform(100, 130, (20, 20)).astype(np.uint8)).resize((420, 420), 3)
        ImageOps.pad(texture.convert("RGB"), (640, 420), color=(0, 0, 0)).save(file)
    assert Verdicts(Views(), lambda file: None).of(*files, [0], align=False) is Verdict.OTHER


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (64, 48)),
        Image.new("RGB", (64, 48), (255, 255, 255)),
        Image.new("I;16", (64, 48), 900),
        Image.new("L", (1, 1), 7),
        Image.fromarray(np.random.default_rng(0).integers(99, 102, (64, 64), dtype=np.uint8)),
    ],
    ids=["black", "white", "16 bit", "one pixel", "one grey and noise"],
)
def test_a_picture_of_one_colour_has_no_look(image: Image.Image, tmp_path: Path) -> None:
    assert signature_of(image) == FLAT
    assert found([image, image], tmp_path) == []


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_every_mode_has_the_look_of_its_grey(mode: str) -> None:
    signature = signature_of(scene(1).convert("RGB" if mode == "HSV" else mode))
    assert len(signature) == 768
    assert correlations(decode_signatures([signature_of(scene(1))]), decode_signatures([signature]))[0, 0] > 0.98


def test_sixteen_bits_are_not_cut_to_eight() -> None:
    deep = Image.fromarray(np.asarray(scene(2).convert("L")).astype(np.uint16) * 250)
    assert deep.mode == "I;16"
    assert (
        correlations(decode_signatures([signature_of(scene(2))]), decode_signatures([signature_of(deep)]))[0, 0] > 0.99
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_look_is_upright(orientation: int, tmp_path: Path) -> None:
    upright = scene(3)
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM}
    turns |= {5: Image.Transpose.TRANSPOSE, 7: Image.Transpose.TRANSVERSE, **undo}
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "upright.png")
    with Image.open(tmp_path / "turned.png") as image:
        levels = decode_signatures([signature_of(image), signature_of(upright)]).astype(int)
    assert np.abs(levels[0] - levels[1]).max() <= 2  # one grey level of rounding
    assert pixels_of(tmp_path / "turned.png") == pixels_of(tmp_path / "upright.png") != ""


def test_a_picture_that_cannot_be_decoded_has_no_pixels(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    assert pixels_of(tmp_path / "cut.png") == pixels_of(tmp_path / "gone.png") == ""


def test_a_reduced_decode_has_nearly_the_same_look(tmp_path: Path) -> None:
    scene(4, 800).save(tmp_path / "x.jpg", quality=95)
    with Image.open(tmp_path / "x.jpg") as whole, Image.open(tmp_path / "x.jpg") as reduced:
        reduced.draft("L", (100, 100))
        looks = [signature_of(whole), signature_of(reduced)]
        assert reduced.width < 200
    levels = decode_signatures(looks).astype(int)
    assert np.abs(levels[0] - levels[1]).max() <= 8


@given(st.integers(0, 2**31), st.integers(0, 3))
def test_traits_know_a_mirrored_picture_by_signs_alone(seed: int, flip: int) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (1, SIDE, SIDE), dtype=np.uint8)
    plain, mirrored = (
        features(pictures)[0],
        features(pictures[:, :: -1 if flip & 2 else 1, :: -1 if flip & 1 else 1])[0],
    )
    np.testing.assert_allclose(np.abs(plain), np.abs(mirrored), atol=1e-5)
    assert np.linalg.norm(plain) == pytest.approx(1, abs=1e-5)


def test_transposed_features_are_those_of_the_transposed_picture() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    np.testing.assert_allclose(transposed(features(pictures)), features(pictures.transpose(0, 2, 1)), atol=1e-5)


@pytest.mark.slow
def test_groups_larger_than_the_candidates_kept_are_stars(tmp_path: Path) -> None:
    pairs = found([scene(5)] * 40 + [scene(6)] * 2, tmp_path)
    assert {pair[2] for pair in pairs} == {NEAR}
    large = [{one, two} for one, two, _ in pairs if int(one) < 40]
    assert len(large) == 39
    assert len(set.intersection(*large)) == 1
    assert ("40", "41", NEAR) in pairs


def test_the_same_bytes_and_the_same_pixels_are_exact(tmp_path: Path) -> None:
    image = scene(7)
    files = {name: tmp_path / name for name in ("a.png", "b.png", "c.bmp", "d.jpg")}
    image.save(files["a.png"])
    files["b.png"].write_bytes(files["a.png"].read_bytes())
    image.save(files["c.bmp"])
    image.save(files["d.jpg"], quality=98)
    looks = {file: signature_of(Image.open(file)) for file in files.values()}
    digests = {file: str(len(file.read_bytes())) for file in files.values()}
    pairs = {(pair.first.name, pair.second.name): pair.kind for pair in find_near_duplicates(looks, digests)}
    assert pairs["a.png", "b.png"] == pairs["a.png", "c.bmp"] == EXACT
    assert NEAR in {kind for names, kind in pairs.items() if "d.jpg" in names}
