"""The review page of predicted labels beside human ones, most doubtful first; works offline."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from yolosweep.autolabel.agreement import HumanLabel, PredictedLabel, matched
from yolosweep.autolabel.label_errors import label_errors
from yolosweep.autolabel.labelling import AutolabelResult, LabelledImage
from yolosweep.report.contact_sheets import Mark, Tile, affordable, environment, thumbnail

__all__ = ["doubtful_first", "render_review", "review_tiles"]

_BUDGET = 700_000
_MOST = 120
_SIDE = 240
_ERRORS = 3
"""Suspected label errors named below an image."""


def render_review(result: AutolabelResult) -> str:
    """Return the review page as self-contained HTML below 1 MB, without scripts.

    Predicted boxes are dashed, human boxes solid. Images with the likeliest error in their human labels come first,
    then those with the lowest confidence; as many are shown as fit.
    """
    drawn = [image for image in result.images if image.label is not None]
    tiles = review_tiles(result)
    included = affordable({"": tiles}, _BUDGET)[""]
    template = environment().get_template("review.html.j2")
    return template.render(
        result=result,
        names=result.names,
        summary=result.summary(),
        tiles=included,
        labelled=len(drawn),
        left=len(drawn) - len(included),
        unreadable=[image.image.name for image in result.images if image.label is None],
    )


def review_tiles(result: AutolabelResult, most: int = _MOST) -> list[Tile]:
    """Return at most ``most`` images with predicted and human boxes, most doubtful first."""
    return [_tile(image) for image in doubtful_first(result)[:most]]


def doubtful_first(result: AutolabelResult) -> list[LabelledImage]:
    """Return the images that were labelled, most doubtful first."""
    return sorted((image for image in result.images if image.label is not None), key=_doubt)


def _doubt(image: LabelledImage) -> tuple[float, int, float, str]:
    """Return the sort key of an image: its likeliest label error, differing boxes, then the lowest confidence."""
    likeliest, differing = 0.0, 0
    if image.known is not None:
        pairs = len(matched(image.drawn, image.known))
        differing = len(image.drawn) + len(image.known) - 2 * pairs
        likeliest = max((error.score for error in label_errors(image.drawn, image.known)), default=0.0)
    return -likeliest, -differing, min((mark.score for mark in image.drawn), default=1.0), str(image.image)


def _tile(image: LabelledImage) -> Tile:
    return Tile(
        jpeg=thumbnail(image.image, _SIDE),
        name=Path(image.image).name,
        split=image.split,
        marks=(*_human(image.known or ()), *_predicted(image.drawn)),
        words=_words(image),
    )


def _words(image: LabelledImage) -> str:
    least = f", lowest confidence {image.drawn[-1].score:.2f}" if image.drawn else ""
    human = "" if image.known is None else f"; {len(image.known)} human"
    edited = "; edited since" if image.state == "edited" else ""
    errors = label_errors(image.drawn, image.known)[:_ERRORS] if image.known is not None else ()
    suspected = "".join(f"; {error.kind.value}? {error.score:.2f}" for error in errors)
    return f"{len(image.drawn)} predicted{least}{human}{suspected}{edited}"


def _predicted(drawn: Iterable[PredictedLabel]) -> list[Mark]:
    return [Mark(mark.category, mark.box, mark.points, machine=True) for mark in drawn]


def _human(known: Iterable[HumanLabel]) -> list[Mark]:
    return [Mark(mark.category, mark.box) for mark in known]
