"""The page of the winner's mistakes: counts per kind, class and size, and the worst images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolosweep.diagnosis.mistakes import Examined, MistakeKind, Size, Tally, by_class, by_size, examined, worst_first
from yolosweep.records import Validation
from yolosweep.report.contact_sheets import environment
from yolosweep.report.worst_images import COLOURS, RIGHT, Picture, affordable_pictures

__all__ = ["ErrorsPage", "SplitErrors", "errors_of", "render_errors", "worst_pictures"]

_MOST = 40
"""Pictures of all splits."""
_BUDGET = 1_300_000
"""Bytes of all pictures: in the page they take a third more."""


@dataclass(frozen=True, kw_only=True)
class SplitErrors:
    """What was right and wrong on one split."""

    split: str
    images: tuple[Examined, ...]
    """Worst first."""
    kinds: Mapping[MistakeKind, int]
    classes: Mapping[str, Tally]
    sizes: Mapping[Size, Tally]


@dataclass(frozen=True, kw_only=True)
class ErrorsPage:
    """All that the page shows."""

    sweep: str
    trial: str
    task: str
    confidence: float
    """Predictions below it are ignored."""
    splits: tuple[SplitErrors, ...]
    pictures: tuple[Picture, ...]


def errors_of(validations: Mapping[str, Validation]) -> tuple[float, tuple[SplitErrors, ...]]:
    """Return the threshold, chosen on val, and the mistakes of every split with answers."""
    val = validations.get("val")
    confidence = (val.confidence if val else None) or 0.0
    return confidence, tuple(_of_split(one, confidence) for one in validations.values() if one.answers)


def _of_split(validation: Validation, confidence: float) -> SplitErrors:
    images = worst_first(examined(answer, confidence, validation.split) for answer in validation.answers)
    found = Counter(mistake.kind for one in images for mistake in one.mistakes)
    return SplitErrors(
        split=validation.split,
        images=tuple(images),
        kinds={kind: found[kind] for kind in MistakeKind},
        classes=by_class(images),
        sizes=by_size(images),
    )


def worst_pictures(splits: Sequence[SplitErrors], *, most: int = _MOST, budget: int = _BUDGET) -> tuple[Picture, ...]:
    """Draw the worst images of every split, evenly."""
    share = max(len(splits), 1)
    return tuple(
        picture
        for one in splits
        for picture in affordable_pictures(one.images, most=most // share, budget=budget // share)
    )


def render_errors(page: ErrorsPage) -> str:
    """Return the page as self-contained HTML without scripts; everything that comes from data is escaped."""
    paint = {kind.value: COLOURS[kind] for kind in MistakeKind}
    template = environment().get_template("errors.html.j2")
    return template.render(page=page, kinds=list(MistakeKind), paint=paint, right=RIGHT)
