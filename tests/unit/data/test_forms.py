"""Drawn pages have no sensor noise: other words make another page, and a page that was saved again remains a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.bench.picture_changes import form, jpeg

from yolosweep.data.duplicates.comparison_pictures import Views
from yolosweep.data.duplicates.pair_verdicts import Verdict, Verdicts
from yolosweep.data.duplicates.sensor_noise import Band, detail_of

WORDS = [
    "alone rise coast",
    "",
    "tin silence",
    "north ocean",
    "",
    "cast into",
    "tale of a lion",
    "",
    "ore",
    "",
    "salt",
    "",
]
OTHER = {
    "a field": {6: "nest in a stone"},
    "two words": {3: "rice canoe"},
    "one word": {5: "clot into"},
    "filled in": {1: "north"},
}
SAVED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 50": lambda page: jpeg(page, 50),
    "jpeg 90": lambda page: jpeg(page, 90),
    "smaller": lambda page: jpeg(page.resize((page.width * 3 // 4, page.height * 3 // 4)), 85),
    "brighter": lambda page: jpeg(ImageEnhance.Brightness(page).enhance(1.2), 85),
    "darker": lambda page: jpeg(ImageEnhance.Brightness(page).enhance(0.6), 85),
    "less contrast": lambda page: jpeg(ImageEnhance.Contrast(page).enhance(0.6), 85),
    "grey": lambda page: page.convert("L"),
}


def verdict(first: Image.Image, second: Image.Image, folder: Path) -> Verdict:
    files = folder / "1.png", folder / "2.png"
    for file, image in zip(files, (first, second), strict=True):
        image.save(file)
    return Verdicts(Views(), lambda file: None).of(*files, [0], align=True)


@pytest.mark.parametrize("quality", [50, 90])
@pytest.mark.parametrize("width", [480, 1240])
@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER.keys())
@pytest.mark.slow
def test_a_form_with_other_words_is_no_copy(other: dict[int, str], width: int, quality: int, tmp_path: Path) -> None:
    words = [other.get(line, word) for line, word in enumerate(WORDS)]
    first, second = (jpeg(form(text, width), quality) for text in (WORDS, words))
    assert verdict(first, second, tmp_path) is Verdict.SCENE


@pytest.mark.parametrize("width", [480, 1240])
@pytest.mark.parametrize("change", SAVED.values(), ids=SAVED.keys())
@pytest.mark.slow
def test_a_form_that_was_saved_again_is_a_copy(
    change: Callable[[Image.Image], Image.Image], width: int, tmp_path: Path
) -> None:
    page = jpeg(form(WORDS, width), 95)
    assert verdict(page, change(page), tmp_path) is Verdict.COPY


def test_a_picture_with_sensor_noise_is_not_drawn() -> None:
    page = np.asarray(form(WORDS, 480).convert("L"))
    drawn = detail_of(page, Band.FINE)
    noisy = page + np.random.default_rng(0).normal(0, 4, page.shape)
    taken = detail_of(np.clip(noisy, 0, 255).astype(np.uint8), Band.FINE)
    assert drawn is not None
    assert taken is not None
    assert (drawn.drawn, taken.drawn) == (True, False)
