"""The review sheet of labels by machine: doubtful images first, machine and people told apart, odd names as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from yolosweep.autolabel.agreement import HumanLabel, PredictedLabel, agreement
from yolosweep.autolabel.labelling import AutolabelResult, LabelledImage
from yolosweep.autolabel.review_page import render_review, review_tiles

HOSTILE = "<script>window.pwned=1</script>\"'\u202e🚗\udce9"
HERE = (0.5, 0.5, 0.2, 0.2)
THERE = (0.1, 0.1, 0.1, 0.1)


def labelled(
    folder: Path, name: str, drawn: list[PredictedLabel], known: list[HumanLabel] | None = None
) -> LabelledImage:
    image = folder / name
    Image.new("RGB", (320, 240), "grey").save(image)
    people = None if known is None else tuple(known)
    return LabelledImage(image=image, split="train", label=folder / "a.txt", drawn=tuple(drawn), known=people)


def result(folder: Path, *images: LabelledImage, name: str = "car") -> AutolabelResult:
    measured = agreement((image.drawn, image.known) for image in images if image.known is not None)
    return AutolabelResult(
        manifest=folder / "auto" / "autolabel.json", names={0: name, 1: "red car"}, images=images,
        unknown_classes=(name,),
        agreement={"train": measured} if measured else {},
    )  # fmt: skip


def test_the_most_doubtful_come_first(tmp_path: Path) -> None:
    images = [
        labelled(tmp_path, "sure.jpg", [PredictedLabel(0, HERE, 0.9)]),
        labelled(tmp_path, "agrees.jpg", [PredictedLabel(0, HERE, 0.8)], [HumanLabel(0, HERE)]),
        labelled(tmp_path, "missed.jpg", [], [HumanLabel(0, HERE), HumanLabel(0, THERE)]),
        labelled(tmp_path, "differs.jpg", [PredictedLabel(0, HERE, 0.99)], [HumanLabel(1, HERE)]),
        labelled(tmp_path, "unsure.jpg", [PredictedLabel(0, HERE, 0.9), PredictedLabel(0, THERE, 0.3)]),
        LabelledImage(image=tmp_path / "broken.jpg", split="train", label=None, state="unreadable"),
    ]
    tiles = review_tiles(result(tmp_path, *images))
    assert {tile.name for tile in tiles[:2]} == {"missed.jpg", "differs.jpg"}
    assert [tile.name for tile in tiles[2:]] == ["unsure.jpg", "agrees.jpg", "sure.jpg"]
    assert [mark.machine for mark in tiles[3].marks] == [False, True]
    assert tiles[2].words == "2 predicted, lowest confidence 0.30"
    assert tiles[3].words == "1 predicted, lowest confidence 0.80; 1 human"


def test_the_page_tells_agreement_and_doubt(tmp_path: Path) -> None:
    page = render_review(
        result(tmp_path, labelled(tmp_path, "a.jpg", [PredictedLabel(0, HERE, 0.8)], [HumanLabel(0, HERE)]))
    )
    assert "These labels are unchecked" in page
    assert re.search(r"1\.00 <span[^>]*>0\.21 to 1\.00", page)
    assert "On train this is optimistic" in page
    assert 'class="d"' in page


def test_without_people_nothing_is_claimed(tmp_path: Path) -> None:
    page = render_review(result(tmp_path, labelled(tmp_path, "a.jpg", [PredictedLabel(0, HERE, 0.8)])))
    assert "the quality of the auto-labels is unknown" in page
    assert "flatters" not in page


@pytest.mark.parametrize("count", [0, 400])
def test_the_page_stays_small(tmp_path: Path, count: int) -> None:
    one = labelled(
        tmp_path, "a.jpg", [PredictedLabel(k % 2, HERE, 0.8, tuple(0.001 * n for n in range(500))) for k in range(90)]
    )
    page = render_review(result(tmp_path, *[one] * count))
    assert len(page.encode()) < 1_000_000
    assert ("more are not shown" in page) is bool(count)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    image = labelled(tmp_path, "a.jpg", [PredictedLabel(0, HERE, 0.8)], [HumanLabel(0, HERE)])
    odd = LabelledImage(image=tmp_path / HOSTILE, split="train", label=None, state="unreadable")
    page = render_review(result(tmp_path, image, odd, name=HOSTILE))
    assert page.encode()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;window.pwned=1" in page
