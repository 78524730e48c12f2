"""Pictures and page of a checkpoint's mistakes, for every kind of label."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from yolosweep.diagnosis.mistakes import examined
from yolosweep.records import Validation
from yolosweep.records.image_predictions import Answer, Shape
from yolosweep.report.mistakes_page import ErrorsPage, errors_of, render_errors, worst_pictures
from yolosweep.report.worst_images import COLOURS, RIGHT, draw

HOSTILE = "<script>alert(1)</script>\u202e"
SQUARE = (0.25, 0.25, 0.75, 0.75)
TURNED = ((0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5))
FOUND = {"fits": ((0.9,),), "overlaps": ((0.9,),)}
POOR = {"fits": ((0.2,),), "overlaps": ((0.9,),)}


def picture(place: Path, size: tuple[int, int] = (64, 48)) -> str:
    Image.new("RGB", size, "#303030").save(place)
    return str(place)


def shapes(**of_label: object) -> dict[str, tuple[Shape, ...]]:
    """Return one label, and a prediction of its class in the same place."""
    label = Shape.model_validate({"name": "car", **of_label})
    return {"labels": (label,), "predictions": (label.model_copy(update={"confidence": 0.8}),)}


def painted(jpeg: bytes, colour: str) -> tuple[bool, bool]:
    """Return whether a colour is on the left and on the right half of a picture."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    wanted = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    halves = [image.crop((start, 0, start + image.width // 2 - 6, image.height)) for start in (0, image.width // 2 + 6)]
    near = [
        any(sum(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 90 for _, pixel in half.getcolors(1 << 20))
        for half in halves
    ]
    return near[0], near[1]


@pytest.mark.parametrize(
    ("answer", "colour", "sides"),
    [
        ({**shapes(box=SQUARE), **FOUND}, RIGHT, (True, True)),
        ({**shapes(box=SQUARE, outline=TURNED), **FOUND}, RIGHT, (True, True)),
        ({**shapes(box=SQUARE, keypoints=((0.5, 0.5),)), **POOR}, "poor fit", (True, True)),
        ({"labels": (Shape(name="car", box=SQUARE),)}, "missed", (True, False)),
        ({"predictions": (Shape(name="car", box=SQUARE, confidence=0.9),)}, "false positive", (False, True)),
        ({"labels": (Shape(name="cat"),), "predictions": (Shape(name="dog", confidence=0.6),), **FOUND}, "wrong class",
         (True, True)),
    ],
)  # fmt: skip
def test_labels_are_left_and_predictions_right_in_the_colour_of_their_fate(
    answer: dict[str, object], colour: str, sides: tuple[bool, bool], tmp_path: Path
) -> None:
    about = {"image": picture(tmp_path / "a.png"), "width": 64, "height": 48}
    jpeg = draw(examined(Answer.model_validate({**about, **answer}), 0.25))
    wanted = next((paint for kind, paint in COLOURS.items() if kind.value == colour), colour)
    assert painted(jpeg, wanted) == sides


@pytest.mark.parametrize("size", [(1, 1), (30, 4000), (4000, 30), (3000, 2000), None])
def test_any_size_fits_and_an_unreadable_file_is_a_gray_panel(size: tuple[int, int] | None, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", size) if size else str(tmp_path / "gone.png")
    label = Shape(name="x" * 300, box=(-0.5, 0.2, 1.7, 0.9))
    jpeg = draw(examined(Answer(image=path, width=9, height=9, labels=(label,)), 0.25))
    image = Image.open(io.BytesIO(jpeg))
    assert image.width <= 640
    assert image.height <= 400
    assert painted(jpeg, COLOURS[examined(Answer(image="", width=1, height=1, labels=(label,)), 0).mistakes[0].kind])[0]


def validations(folder: Path) -> dict[str, Validation]:
    found = {}
    for split in ("val", "test"):
        answers = tuple(
            Answer(
                image=picture(folder / f"{split}{number}{HOSTILE.replace('/', '')}.png"),
                width=64,
                height=48,
                labels=(Shape(name=HOSTILE, box=SQUARE),) * (number % 3),
                predictions=(Shape(name="dog", box=SQUARE, confidence=0.4),),
                fits=((0.0,),) * (number % 3),
                overlaps=((0.0,),) * (number % 3),
            )
            for number in range(30)
        )
        found[split] = Validation(split=split, metrics={}, confidence=0.35 if split == "val" else 0.9, answers=answers)
    return found


def test_the_page_has_counts_and_pictures_of_every_split_and_runs_nothing(tmp_path: Path) -> None:
    confidence, splits = errors_of(validations(tmp_path))
    assert confidence == 0.35, "chosen on val, used on test"
    pictures = worst_pictures(splits)
    assert [sum(one.examined.split == split for one in pictures) for split in ("val", "test")] == [20, 20]
    assert len({one.name for one in pictures}) == 40
    assert all(one.name.isascii() and "/" not in one.name and "<" not in one.name for one in pictures)
    weights = [one.weight for one in splits[0].images]
    assert weights == sorted(weights, reverse=True)
    assert [one.examined for one in pictures[:20]] == list(splits[0].images[:20])
    page = render_errors(
        ErrorsPage(sweep=HOSTILE, trial="t0001", task="detect", confidence=confidence, splits=splits, pictures=pictures)
    )
    assert page.count("data:image/jpeg;base64,") == 40
    assert "<script" not in page
    assert "\u202e" not in page
    assert str(tmp_path) not in page
    assert "30 images of val, 30 images of test" in page
    assert "confidence 0.35" in page


def test_the_pictures_stay_within_their_budget(tmp_path: Path) -> None:
    _, splits = errors_of(validations(tmp_path))
    size = len(worst_pictures(splits, most=2)[0].jpeg)
    few = worst_pictures(splits, budget=7 * size)
    assert 2 <= len(few) <= 7
    assert sum(len(one.jpeg) for one in few) <= 7 * size


def test_without_answers_there_is_nothing_to_show() -> None:
    assert errors_of({"val": Validation(split="val", metrics={})}) == (0.0, ())
