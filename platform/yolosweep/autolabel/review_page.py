"""The review sheet of labels by machine: what was drawn, beside what people drew, the doubtful first; opens offline."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from yolosweep.autolabel.agreement import HumanLabel, PredictedLabel, matched
from yolosweep.autolabel.labelling import AutolabelResult, LabelledImage
from yolosweep.report.contact_sheets import Mark, Tile, affordable, environment, thumbnail

__all__ = ["render_review", "review_tiles"]

_BUDGET = 700_000
_MOST = 120
_SIDE = 240


def render_review(result: AutolabelResult) -> str:
    """Return the review sheet as HTML below 1 MB, without scripts and without anything outside of it.

    Boxes by machine are dashed, those of people are not. Images on which the two differ most come first, then those
    the model was least sure of; as many are shown as fit.
    """
    drawn = [image for image in result.images if image.label is not None]
    tiles = review_tiles(result)
    shown = affordable({"": tiles}, _BUDGET)[""]
    template = environment().get_template("review.html.j2")
    return template.render(
        result=result,
        names=result.names,
        summary=result.summary(),
        tiles=shown,
        labelled=len(drawn),
        left=len(drawn) - len(shown),
        unreadable=[image.image.name for image in result.images if image.label is None],
    )


def review_tiles(result: AutolabelResult, most: int = _MOST) -> list[Tile]:
    """Return at most ``most`` pictures with the boxes of machine and people, the most doubtful first."""
    drawn = [image for image in result.images if image.label is not None]
    return [_tile(image) for image in sorted(drawn, key=_doubt)[:most]]


def _doubt(image: LabelledImage) -> tuple[int, float, str]:
    """Return what images are sorted by: how many boxes differ from people's, then the least sure box."""
    differing = 0
    if image.known is not None:
        pairs = len(matched(image.drawn, image.known))
        differing = len(image.drawn) + len(image.known) - 2 * pairs
    return -differing, min((mark.score for mark in image.drawn), default=1.0), str(image.image)


def _tile(image: LabelledImage) -> Tile:
    return Tile(
        jpeg=thumbnail(image.image, _SIDE),
        name=Path(image.image).name,
        split=image.split,
        marks=(*_people(image.known or ()), *_machine(image.drawn)),
        words=_words(image),
    )


def _words(image: LabelledImage) -> str:
    least = f", least sure {image.drawn[-1].score:.2f}" if image.drawn else ""
    people = "" if image.known is None else f"; {len(image.known)} by people"
    edited = "; edited since" if image.state == "edited" else ""
    return f"{len(image.drawn)} by machine{least}{people}{edited}"


def _machine(drawn: Iterable[PredictedLabel]) -> list[Mark]:
    return [Mark(mark.category, mark.box, mark.points, machine=True) for mark in drawn]


def _people(known: Iterable[HumanLabel]) -> list[Mark]:
    return [Mark(mark.category, mark.box) for mark in known]
