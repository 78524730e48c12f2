"""Human labels of a data set that a detector disagrees with: a page, and pre-annotations to correct them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from yolosweep.autolabel.agreement import HumanLabel, agreement
from yolosweep.autolabel.annotators import Annotator
from yolosweep.autolabel.labelling import AutolabelResult, LabelledImage
from yolosweep.data import OUTSIDE, Gate, examine
from yolosweep.errors import UsageError
from yolosweep.records import LabelReview
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.workflows.auto_labels import write_review
from yolosweep.workflows.progress_listener import Listener

__all__ = ["SUSPECTS", "review_labels", "suspects_table"]

SUSPECTS = "suspects.csv"
_COLUMNS = ("image", "split", "error", "score", "labelled", "seen", "x", "y", "width", "height")
_TASKS = ("detect", "segment")


def review_labels(
    source: str, listener: Listener, *, weights: Path, out: Path, task: str = "detect", allow: Sequence[str] = ()
) -> LabelReview:
    """Compare the labels of all splits with a detector; write a page and pre-annotations, the likeliest error first.

    Args:
        source: a data set, as for the checks.
        listener: receives the progress.
        weights: an Ultralytics detector; on images that it was trained on, it repeats the errors it has learned.
        out: a new folder, or one written before.
        task: ``detect`` or ``segment``.
        allow: waived codes; ``file-outside`` also reads what links lead to.

    Raises:
        DataError: the data cannot be read.
        TrainingError: the weights cannot be used.
        UsageError: the task has no boxes, or the folder cannot be written.
    """
    if task not in _TASKS:
        raise UsageError(f"--weights: labels of {task} cannot be compared; the task must be detect or segment")
    gate = examine(source, task, anywhere=OUTSIDE in allow)
    result = _compared(gate, weights, out, task, listener)
    try:
        out.mkdir(parents=True, exist_ok=True)
        page = write_review(out.absolute(), result, gate.image_facts)
        write_atomic(out / SUSPECTS, suspects_table(result))
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}; name another --report") from error
    return LabelReview(page=str(page), suspected=result.suspected())


def suspects_table(result: AutolabelResult) -> str:
    """Return the suspected errors as CSV, the likeliest first: what the detector sees, and what is labelled there."""
    lines = StringIO()
    table = csv.writer(lines)
    table.writerow(_COLUMNS)
    for image, error in result.errors():
        mine = image.drawn[error.drawn]
        theirs = image.known[error.known] if image.known is not None and error.known is not None else None
        labelled = result.names.get(theirs.category, str(theirs.category)) if theirs else ""
        box = [f"{value:.6f}" for value in mine.box]
        seen = result.names.get(mine.category, str(mine.category))
        table.writerow([image.image, image.split, error.kind.value, f"{error.score:.3f}", labelled, seen, *box])
    return lines.getvalue()


def _compared(gate: Gate, weights: Path, out: Path, task: str, listener: Listener) -> AutolabelResult:
    annotator = Annotator(weights, gate.dataset.names, task=task, sam=None, conf=0.25)
    pairs = [(split, item) for split, items in gate.layout.splits.items() for item in items]
    progress, images = listener.reading("comparing the labels"), []
    for count, (split, item) in enumerate(pairs, 1):
        label = gate.labels[item.label] if item.label is not None else None
        if label is not None and label.sha256 and gate.image_facts[item.image].signature:
            known = tuple(HumanLabel(row.category, row.box) for row in label.rows)
            drawn = annotator.draw(item.image) or ()
            images.append(LabelledImage(image=item.image, split=split, label=item.label, drawn=drawn, known=known))
        progress(count, len(pairs))
    splits = dict.fromkeys(one.split for one in images)
    return AutolabelResult(
        manifest=out / "review.html",
        names=dict(gate.dataset.names),
        images=tuple(images),
        unknown_classes=tuple(annotator.unknown_classes),
        agreement={
            split: agreement((one.drawn, one.known or ()) for one in images if one.split == split) for split in splits
        },
    )
