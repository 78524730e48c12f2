"""The pictures in ``winner/``: plots of the validations, the worst images, and the page of mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolosweep.ledger import RunFolder
from yolosweep.records import FileRef, Validation
from yolosweep.records.events import Reference
from yolosweep.report.errors_page import ErrorsPage, errors_of, render_errors, worst_pictures

__all__ = ["PAGE", "publish_pictures"]

PAGE = "errors.html"

_PLOTS, _WORST = "plots", "worst"


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
    for name in (_PLOTS, _WORST):  # of a winner that was selected before
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
        files[PAGE] = render_errors(
            ErrorsPage(sweep=sweep, trial=trial, task=task, confidence=confidence, splits=splits, pictures=pictures)
        )
    return {name: folder.publish(content, folder.winner.joinpath(*name.split("/"))) for name, content in files.items()}
