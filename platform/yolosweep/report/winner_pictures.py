"""The pictures in ``winner/``: plots of the validations, the worst images, and the page of mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from yolosweep.ledger import RunFolder
from yolosweep.records import FileRef, Validation
from yolosweep.records.events import Reference
from yolosweep.report.mistakes_page import ErrorsPage, SplitErrors, errors_of, render_errors, worst_pictures
from yolosweep.report.preannotations import preannotations

__all__ = ["PAGE", "Pictures", "publish_pictures"]

PAGE = "errors.html"

_PLOTS, _WORST, _NEXT = "plots", "worst", "label-next"
_LABELLED_NEXT = 100
"""Images of a split in the pre-annotations."""


class Pictures(NamedTuple):
    """What is known of the winner's mistakes."""

    files: dict[str, FileRef]
    """By their name below ``winner/``."""
    mistakes: dict[str, dict[str, int]]
    """See ``Winner.mistakes``."""


def publish_pictures(
    folder: RunFolder,
    *,
    sweep: str,
    trial: str,
    task: str,
    validations: Mapping[str, Validation],
    reference: Reference | None,
) -> Pictures:
    """Write all pictures there are, and count the mistakes.

    Raises:
        Exception: something cannot be drawn or written; pictures are worth no winner.
    """
    for name in (_PLOTS, _WORST, _NEXT):  # of a winner that was selected before
        folder.remove_below([folder.winner / name])
    files: dict[str, bytes | str | Path] = {}
    for split, validation in validations.items():
        files |= {f"{_PLOTS}/{split}/{plot.name}": plot for plot in validation.plots}
    if reference is not None:
        for split, validation in reference.validations.items():
            files |= {f"{_PLOTS}/{reference.trial}-{split}/{plot.name}": plot for plot in validation.plots}
    confidence, splits = errors_of(validations)
    if splits:
        pictures = worst_pictures(splits)
        files |= {f"{_WORST}/{picture.name}": picture.jpeg for picture in pictures}
        worst = [image.answer for one in splits for image in one.images[:_LABELLED_NEXT] if image.mistakes]
        names = sorted({shape.name for answer in worst for shape in (*answer.labels, *answer.predictions)})
        files |= {f"{_NEXT}/{name}": text for name, text in preannotations(worst, names).items() if worst}
        files[PAGE] = render_errors(
            ErrorsPage(sweep=sweep, trial=trial, task=task, confidence=confidence, splits=splits, pictures=pictures)
        )
    return Pictures(
        {name: folder.publish(content, folder.winner.joinpath(*name.split("/"))) for name, content in files.items()},
        {one.split: _counts(one) for one in splits},
    )


def _counts(errors: SplitErrors) -> dict[str, int]:
    labels = sum(tally.labels for tally in errors.classes.values())
    return {"labels": labels, **{kind.value: count for kind, count in errors.kinds.items()}}
