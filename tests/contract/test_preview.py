"""Augmentation previews: real samples, changed as a training changes them, with labels that still fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolosweep.backends.sample_preview import Preview
from yolosweep.backends.ultralytics.augmentation_preview import previews
from yolosweep.errors import TrainingError
from yolosweep.report.preview_sheets import galleries
from yolosweep.storage.atomic_files import sha256_of

pytestmark = pytest.mark.slow

TINY = Path(__file__).resolve().parents[2] / "../shared/data/bccd_tiny"
NAMES = {0: "RBC", 1: "WBC", 2: "Platelets"}
SETTINGS = {"imgsz": 128, "mosaic": 1.0, "hsv_h": 0.1, "fliplr": 0.5, "epochs": 3, "lr0": 0.01}
PIPELINES: dict[str, Any] = {
    "grey": [{"ToGray": {"p": 0.01}}],
    "mirrored": [{"HorizontalFlip": {"p": 0.5}}],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not TINY.is_dir():
        pytest.skip(f"{TINY} is not there")
    return Path(shutil.copytree(TINY, tmp_path_factory.mktemp("data") / "bccd"))


def images_of(data: Path) -> list[Path]:
    return sorted((data / "images" / "train").glob("*.jpg"))


@pytest.fixture(scope="module")
def shown(data: Path) -> dict[str, list[Preview]]:
    """All parts, by look."""
    found = previews(images_of(data), NAMES, task="detect", settings=SETTINGS, pipelines=PIPELINES, count=3, seed=1)
    looks: dict[str, list[Preview]] = {}
    for preview in found:
        looks.setdefault(preview.look, []).append(preview)
    return looks


def squares(folder: Path, count: int = 30) -> list[Path]:
    """Write pictures of one bright square on black, labelled with its polygon."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        pixels = np.zeros((96, 96, 3), np.uint8)
        left, top = 8 + number % 5 * 8, 16 + number % 3 * 16
        pixels[top : top + 24, left : left + 32] = (250, 240, 230)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        x0, y0, x1, y1 = (value / 96 for value in (left, top, left + 32, top + 24))
        (folder / "labels" / f"{number}.txt").write_text(f"0 {x0} {y0} {x1} {y0} {x1} {y1} {x0} {y1}\n")
    return sorted((folder / "images").iterdir())


def test_every_part_is_shown_on_the_same_samples(shown: dict[str, list[Preview]]) -> None:
    assert list(shown) == ["as it is", "mosaic", "hsv", "grey", "mirrored", "all together"]
    samples = [preview.image for preview in shown["as it is"]]
    assert len(set(samples)) == 3
    for same in shown.values():
        assert [preview.image for preview in same] == samples
        for preview in same:
            assert (preview.pixels.dtype, preview.pixels.shape) == (np.uint8, (128, 128, 3))
            assert len(preview.boxes) == len(preview.categories)
            assert preview.polygons == ()
            assert all(
                0 <= left < right <= 128 and 0 <= top < bottom <= 128 for left, top, right, bottom in preview.boxes
            )


def test_as_it_is_shows_the_image_and_its_own_labels(shown: dict[str, list[Preview]], data: Path) -> None:
    for preview in shown["as it is"]:
        rows = (data / "labels" / "train" / f"{preview.image.stem}.txt").read_text().splitlines()
        assert sorted(preview.categories) == sorted(int(row.split()[0]) for row in rows)
        with Image.open(preview.image) as image:
            colour = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(0)
        inside = preview.pixels[(preview.pixels != 114).any(2)].mean(0)  # without the grey border
        assert inside == pytest.approx(colour, abs=6)  # RGB, not BGR


def test_each_part_does_what_it_says(shown: dict[str, list[Preview]]) -> None:
    plain, grey, mirrored = (shown[look] for look in ("as it is", "grey", "mirrored"))
    for before, after in zip(plain, grey, strict=True):
        assert np.ptp(after.pixels.astype(int), axis=2).max() <= 1
        assert np.allclose(after.boxes, before.boxes, atol=0.01)
    for before, after in zip(plain, mirrored, strict=True):
        assert np.abs(after.pixels.astype(int) - before.pixels[:, ::-1]).mean() < 1
        flipped = {(round(128 - right), round(left), round(bottom)) for left, _, right, bottom in before.boxes}
        assert {(round(left), round(128 - right), round(bottom)) for left, _, right, bottom in after.boxes} == flipped
    for before, after in zip(plain, shown["hsv"], strict=True):
        assert (after.pixels != before.pixels).any()
        assert np.allclose(after.boxes, before.boxes, atol=0.01)
    several = [len(after.boxes) > len(before.boxes) for before, after in zip(plain, shown["mosaic"], strict=True)]
    assert any(several)


def test_the_seed_decides(data: Path, shown: dict[str, list[Preview]]) -> None:
    def again(seed: int) -> list[Preview]:
        return previews(
            images_of(data), NAMES, task="detect", settings=SETTINGS, pipelines=PIPELINES, count=3, seed=seed
        )

    before = [preview for same in shown.values() for preview in same]
    for one, other in zip(before, again(1), strict=True):
        assert (one.look, one.image, one.boxes) == (other.look, other.image, other.boxes)
        assert (one.pixels == other.pixels).all()
    assert [preview.image for preview in again(2)] != [preview.image for preview in before]


def test_masks_stay_on_what_they_mark(tmp_path: Path) -> None:
    settings = {"imgsz": 96, "degrees": 30.0, "hsv_v": 0.0, "hsv_s": 0.0, "hsv_h": 0.0}
    pipelines: dict[str, Any] = {"turned": [{"Rotate": {"limit": [20, 40], "p": 0.1}}]}
    found = previews(squares(tmp_path), {0: "square"}, task="segment", settings=settings, pipelines=pipelines, count=3)
    assert {preview.look for preview in found} == {"as it is", "mosaic", "turned", "all together"}
    checked = 0
    for preview in found:
        assert len(preview.polygons) == len(preview.boxes)
        for points in preview.polygons:
            middle = np.mean([points[::2], points[1::2]], axis=1).round().astype(int)
            if (middle > 3).all() and (middle < 92).all():
                checked += 1
                assert preview.pixels[middle[1], middle[0]].min() > 180, preview.look
    assert checked > 8


def test_classification_folders_are_shown_too(tmp_path: Path) -> None:
    for number in range(6):
        file = tmp_path / ("red" if number % 2 else "blue") / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), file.parent.name).save(file)
    images = sorted(tmp_path.rglob("*.png"))
    settings = {"imgsz": 32, "erasing": 0.0, "auto_augment": None, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}
    found = previews(images, {0: "blue", 1: "red"}, task="classify", settings=settings, count=2)
    assert [preview.look for preview in found] == ["as it is", "as it is", "all together", "all together"]
    for preview in found:
        (category,) = preview.categories
        assert preview.pixels.shape == (32, 32, 3)
        assert preview.pixels.reshape(-1, 3).mean(0).argmax() == (0 if category else 2)
        assert preview.boxes == ()


def test_a_pipeline_that_cannot_be_built_is_named(data: Path) -> None:
    with pytest.raises(TrainingError, match=r"'fog'.*Mist is not an Albumentations transform"):
        previews(images_of(data), NAMES, task="detect", settings=SETTINGS, pipelines={"fog": [{"Mist": {}}]})


def test_nothing_is_written_beside_the_images(data: Path) -> None:
    before = {file: sha256_of(file) for file in data.rglob("*") if file.is_file()}
    previews(images_of(data), NAMES, task="detect", settings=SETTINGS, count=1)
    assert {file: sha256_of(file) for file in data.rglob("*") if file.is_file()} == before


def test_no_images_give_no_previews() -> None:
    assert previews([], NAMES, task="detect", settings=SETTINGS) == []


def test_they_become_contact_sheets(shown: dict[str, list[Preview]], tmp_path: Path) -> None:
    sheets = galleries(preview for same in shown.values() for preview in same)
    assert [sheet.name for sheet in sheets] == list(shown)
    assert all(sheet.note for sheet in sheets)
    for sheet in sheets:
        for tile, preview in zip(sheet.tiles, shown[sheet.name], strict=True):
            assert tile.name == preview.image.name
            for mark, (left, top, right, bottom) in zip(tile.marks, preview.boxes, strict=True):
                x, y, width, height = (128 * share for share in mark.box)
                corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                assert corners == pytest.approx((left, top, right, bottom))
