"""The pictures in ``winner/``: plots of the validations, the worst images, and the page of mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolosweep.ledger import RunFolder
from yolosweep.records import FileRef, Validation
from yolosweep.records.events import Reference
from yolosweep.report.errors_page import ErrorsPage, errors_of, render_errors, worst_pictures
from yolosweep.report.preannotations import preannotations

__all__ = ["PAGE", "publish_pictures"]

PAGE = "errors.html"

_PLOTS, _WORST, _NEXT = "plots", "worst", "label-next"
_LABELLED_NEXT = 100
"""Images of a split in the pre-annotations."""


def publish_pictures(
    folder: RunFolder,
    *,
    sweep: str,
    trial: str,
    task: str,
    validations: Mapping[str, Validation],
    reference: Reference | None,
) -> dict[str, FileRef]:
    """Write all pictures there are and return them by their name below ``winner/``.

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
    return {name: folder.publish(content, folder.winner.joinpath(*name.split("/"))) for name, content in files.items()}
